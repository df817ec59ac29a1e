"""Which connectors are on, and settings that cannot work."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg_pool import AsyncConnectionPool

import services.core.connectors
from services.core.connectors.port import Can, Connector
from services.core.connectors.registry import ConnectorsSettings, build_connectors
from services.core.kit.errors import ConnectorRejected
from tests.services.core.connectors.conformance import BOTH, HANDED_OVER, SECRET, letter

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[4]
OURS = {"desk", "generic"}  # no vendor's system: the guide of connectors speaks of them
VARIABLE = re.compile(r"POINTSMAN_CONNECTORS__([A-Z_]+?)__([A-Z_]+?)(?=__|[^A-Z_]|$)")


def built(settings: ConnectorsSettings) -> set[str]:
    return set(build_connectors(settings, pool=AsyncConnectionPool("", open=False), http=httpx.AsyncClient()))


def test_only_connectors_with_a_secret_are_on() -> None:
    """No secret, no door; the desk is always there."""
    assert built(ConnectorsSettings()) == {"desk"}
    assert built(ConnectorsSettings.model_validate({"zendesk": {"secrets": BOTH}})) == {"desk", "zendesk"}


def test_every_connector_is_registered_under_its_own_name() -> None:
    """A folder that nobody registered would be a connector that nobody can switch on."""
    folder = Path(services.core.connectors.__file__).parent
    rooms = {path.parent.name if path.name == "connector.py" else path.stem for path in folder.rglob("*.py")
             if f"({Connector.__name__}):" in path.read_text("utf-8")}  # fmt: skip
    assert rooms == set(ConnectorsSettings.model_fields), "each needs its line in registry.py, under the folder's name"


@pytest.mark.parametrize("name", list(ConnectorsSettings.model_fields))
def test_nothing_of_a_connector_is_forgotten(name: str) -> None:
    """Its name is the registry's; it runs every room of the suite; its guide says what was proved, and is linked."""
    connector = class_of(name)
    assert connector.name == name
    tests = "".join(
        file.read_text("utf-8") for file in HERE.rglob("test_*.py") if name in (file.stem[5:], file.parent.name)
    )
    rooms = {"Outbound", "Polling"} if connector.door is None else {"Inbound", "Outbound", "Polling"}
    assert {room for room in rooms if not re.search(rf"^class Test\w*\({room}\)", tests, re.MULTILINE)} == set()
    if name not in OURS:
        guide = f"{name.replace('_', '-')}.md"
        assert "\n## Proved\n" in (ROOT / "design/guides" / guide).read_text("utf-8")
        assert f"(design/guides/{guide})" in (ROOT / "README.md").read_text("utf-8")


def test_guides_name_settings_that_exist() -> None:
    """A misspelt variable in a guide stops the reader's start, and nobody tells the writer."""
    fields = {name: type(ConnectorsSettings().of(name)).model_fields for name in ConnectorsSettings.model_fields}
    said = {found for file in (ROOT / "design").rglob("*.md") for found in VARIABLE.findall(file.read_text("utf-8"))}
    assert said
    assert [(name, field) for name, field in said if field.lower() not in fields[name.lower()]] == []


@pytest.mark.parametrize("name", list(ConnectorsSettings.model_fields))
async def test_with_secrets_alone_it_listens_and_asks_nobody(name: str) -> None:
    """Nothing is fetched, nothing can be written or opened, and it says so instead of failing."""
    if class_of(name).door is None or name == "desk":
        pytest.skip("this one always has its system")

    def nobody(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"asked {request.url}")

    settings = ConnectorsSettings.model_validate({name: {"secrets": [SECRET]}}).of(name)
    async with httpx.AsyncClient(transport=httpx.MockTransport(nobody)) as http:
        connector = settings.build(http, AsyncConnectionPool("", open=False))
        assert connector.can == Can(0)
        assert await connector.fetch("17") is None
        assert (await connector.write(letter("17"))).status == "unwritable"
        with pytest.raises(ConnectorRejected):
            await connector.open(HANDED_OVER)


def class_of(name: str) -> type[Connector]:
    module = f"services.core.connectors.{name}"
    has_room = (Path(services.core.connectors.__file__).parent / name).is_dir()
    place = import_module(f"{module}.connector" if has_room else module)
    [found] = [
        one for one in vars(place).values()
        if isinstance(one, type) and issubclass(one, Connector) and one.__module__ == place.__name__
    ]  # fmt: skip
    return found


@pytest.mark.parametrize("name", list(ConnectorsSettings.model_fields))
def test_a_misspelt_setting_stops_the_start(name: str) -> None:
    """Fail closed: a forgotten letter must not switch a guard off."""
    for given in ({name: {"sercets": [SECRET]}}, {f"{name}_secrets": [SECRET]}, {f"{name}x": {}}):
        with pytest.raises(ValueError, match="Extra inputs"):
            ConnectorsSettings.model_validate(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"generic": {"secrets": ["whsec_hunter2!"]}}, "whsec_"),
        ({"desk": {"secrets": ["whsec_"]}}, "whsec_"),
        ({"zendesk": {"secrets": [" "]}}, "blank"),
        ({"zendesk": {"base_url": "example.zendesk.com"}}, "https://"),
        ({"zendesk": {"base_url": "https://x.zendesk.com"}}, "api_token"),
        ({"zendesk": {"base_url": "https://x.zendesk.com", "oauth_token": "t"}}, "user_id"),
        ({"jira": {"priority_names": {"low": "Niedrig"}}}, "normal, high, urgent has no name"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(given: Any, said: str) -> None:
    """The message says what to give, and never repeats a secret."""
    with pytest.raises(ValueError, match=said) as caught:
        ConnectorsSettings.model_validate(given)
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    """Settings may be printed."""
    assert SECRET.get_secret_value() not in repr(ConnectorsSettings.model_validate({"zendesk": {"secrets": BOTH}}))
