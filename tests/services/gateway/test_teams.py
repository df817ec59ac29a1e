"""The console's page of teams over HTTP: who may change what, what does not fit, the catalogue as a file."""

import httpx
import psycopg
import pytest

from services.core.contracts.catalogue import Catalogue, Team
from services.core.kit.errors import InputInvalid
from services.gateway.catalogue_file import catalogue_text, read_catalogue
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import add_groups

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
BOMB = "teams: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]"


def catalogue(database: str) -> dict[str, dict]:
    columns = "name, description, department, system, priority_threshold, active"
    with psycopg.connect(database) as conn:
        rows = conn.execute(f"select {columns} from catalogue where kind = 'group' order by rank").fetchall()
    return {row[0]: dict(zip(columns.split(", ")[1:], row[1:], strict=True)) for row in rows}


async def test_roles_and_foreign_pages(gateway: httpx.AsyncClient, database: str, keys: Keys) -> None:
    """Viewers look and export, only administrators change, and only from our own page."""
    add_groups(database)
    form = {"name": "Printing", "active": "on"}
    viewer = keys.header(keys.viewer) | SAME_ORIGIN
    shown = await gateway.get("/teams", headers=viewer)
    assert (shown.status_code, "<form method" in shown.text.split("<main")[1]) == (200, False)
    assert (await gateway.get("/teams/catalogue.yaml", headers=viewer)).text.startswith("teams:")
    for key, site, status in ((keys.agent, "same-origin", 403), (keys.admin, "cross-site", 403)):
        answer = await gateway.post("/teams", data=form, headers=keys.header(key) | {"Sec-Fetch-Site": site})
        assert answer.status_code == status
    answer = await gateway.post("/teams", data=form, headers=keys.header(keys.admin) | SAME_ORIGIN)
    assert (answer.status_code, "Saved: Printing" in answer.text) == (200, True)
    assert catalogue(database)["Printing"]["active"] is True
    plain = await gateway.post("/teams", data={"name": "Printing"}, headers=keys.header(keys.admin) | SAME_ORIGIN)
    assert (plain.status_code, catalogue(database)["Printing"]["active"]) == (200, False)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"name": ""}, 422),
        ({"name": "x\0y"}, 422),
        ({"name": "Nеtwork"}, 422),  # a Cyrillic e
        ({"name": "A", "priority_threshold": "asap"}, 422),
        ({"name": "A", "description": "x" * 2_001}, 422),
        ({"name": "A", "description": "ä" * 2_000}, 200),
        ({"name": "A", "description": "x" * 50_000}, 413),
        ({"name": '<img src=x onerror="alert(1)">', "active": "on"}, 200),
    ],
)
async def test_what_does_not_fit_is_said(
    gateway: httpx.AsyncClient, database: str, keys: Keys, form: dict[str, str], status: int
) -> None:
    """And what looks like markup stays text."""
    add_groups(database)
    answer = await gateway.post("/teams", data=form, headers=keys.header(keys.admin) | SAME_ORIGIN)
    assert answer.status_code in (status, 413)
    assert (answer.status_code == 200) == (status == 200)
    assert "<img" not in answer.text


TWICE = "teams:\n- name: A\n  active: true\n  name: B\n"
NO_CATALOGUES = ("", "teams: [", "- 1", BOMB, "[" * 100_000, "teams: [{name: 5}]", "x" * 300_000, TWICE)


@pytest.mark.parametrize("text", NO_CATALOGUES, ids=range(len(NO_CATALOGUES)))
def test_a_file_that_is_no_catalogue_is_refused(text: str) -> None:
    """In words: no YAML, aliases that multiply, depth that overflows, fields that do not fit."""
    with pytest.raises(InputInvalid):
        read_catalogue(text)


def test_a_key_that_comes_twice_is_named_with_its_lines() -> None:
    """The whole catalogue became its last word."""
    with pytest.raises(InputInvalid, match="Line 4 says 'name' again; line 2 has said it"):
        read_catalogue(TWICE)


def test_a_catalogue_survives_its_file() -> None:
    team = Team(
        name="Größe & Co: [x]", description="a\n- b\n'c'", department="*d", priority_threshold=None, active=False
    )
    assert read_catalogue(catalogue_text(Catalogue(teams=(team,)))).teams == (team,)
