"""Redaction as one function of many tickets, for who has files to read and may not have a redactor."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from services.core.kit.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from services.core.text.redact import Redactor

Hide = Callable[[Sequence[Mapping[str, str]]], list[dict[str, str]]]  # fields of tickets -> the same, redacted


def build_hide() -> Hide:
    """
    What a triage hides of a ticket before any model sees it, an operator's own rules included: as an import does.

    The function, when it is first called, raises:
        ConfigurationInvalid: the redactor is not installed here, or its rules cannot be taken.
    """
    return lambda tickets: [redacted.fields for redacted in _redactor().redact_many(tickets)]


@cache
def _redactor() -> "Redactor":
    """Imported by its name: the trainer's image, which is given no file, holds neither it nor its packages."""
    try:
        return import_module("services.core.text.redact").build_redactor()
    except ImportError as exc:
        raise ConfigurationInvalid(
            f"Files are redacted before anything is learnt from them, and here is no redactor ({exc.name} is not "
            "installed: the trainer's container has none). Import them with `pointsman history import`, which redacts."
        ) from exc
