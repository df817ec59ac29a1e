"""The browser of whoever sits before this machine, where there is one."""

import sys
import webbrowser

from pydantic_settings import BaseSettings, SettingsConfigDict


class Screen(BaseSettings):
    """The desktop's own variables; macOS and Windows have a screen without them."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    display: str = ""
    wayland_display: str = ""

    @property
    def is_there(self) -> bool:
        """Whether a person looks at this terminal and a browser could open beside it."""
        is_graphical = bool(self.display or self.wayland_display) or sys.platform in ("darwin", "win32")
        return is_graphical and sys.stdout.isatty()


def show(address: str) -> None:
    """Opens the address; without a browser nothing happens: the address was printed."""
    webbrowser.open(address)
