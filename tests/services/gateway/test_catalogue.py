"""The label catalogue by API and by command: edited, audited, and in force for the next ticket."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml
from psycopg.rows import DictRow, dict_row

from services.core.contracts.ticket import Priority
from services.worker import repository as worker
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import GROUPS, add_groups
from tests.services.gateway.served import PATIENCE_S, Served, serve

TEAM = {"name": "SAP / Finance", "department": "Finance", "system": "SAP", "description": "Dunning & closing"}


def audited(database: str) -> list[dict]:
    with psycopg.connect(database) as conn:
        return [
            row[0]
            for row in conn.execute("select detail from audit_log where action = 'catalogue.changed' order by pending")
        ]


async def put(gateway: httpx.AsyncClient, key: str, path: str, content: object) -> httpx.Response:
    return await gateway.put(f"/api/catalogue{path}", json=content, headers=Keys.header(key))


async def test_a_team_is_added_and_changed_by_its_name(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """It comes last, keeps its place, and each change is in the audit log; what changes nothing is not."""
    add_groups(database)
    added = await put(gateway, keys.admin, "/teams", TEAM)
    assert [team["name"] for team in added.json()["teams"]] == [*GROUPS, "SAP / Finance"]
    changed = await put(gateway, keys.admin, "/teams", TEAM | {"name": "Network & VPN", "priority_threshold": "high"})
    assert [team["name"] for team in changed.json()["teams"]] == [*GROUPS, "SAP / Finance"]
    await put(gateway, keys.admin, "/teams", TEAM)
    assert [list(detail) for detail in audited(database)] == [["SAP / Finance"], ["Network & VPN"]]
    assert audited(database)[1]["Network & VPN"]["priority_threshold"] == "high"


@pytest.mark.parametrize(
    "name",
    [
        " ",
        "\u00a0",
        "Finance ",
        " Finance",
        "Fin\u200bance",
        "\u202eecnaniF",
        "Finance\u2028",
        "Fin\x7fance",
        "Fin\x85ance",
        "Cafe\u0301",
        "Netw\u043erk & VPN",
        "N\u03bftes",
    ],
)
async def test_a_name_that_looks_like_another_is_refused(
    gateway: httpx.AsyncClient, keys: Keys, database: str, name: str
) -> None:
    """Blank, invisible, not normalised, or of two scripts in one word; stored nowhere. Each script alone is a name."""
    add_groups(database)
    for path, content in (("/teams", TEAM | {"name": name}), ("", {"teams": [TEAM | {"name": name}]})):
        answer = await put(gateway, keys.admin, path, content)
        assert answer.status_code == 422, answer.text
    fine = await put(gateway, keys.admin, "/teams", TEAM | {"name": "\u0421\u0435\u0442\u044c VPN, Caf\xe9"})
    assert len(fine.json()["teams"]) == len(GROUPS) + 1


async def test_the_worker_decides_by_it_without_a_restart(
    gateway: httpx.AsyncClient, keys: Keys, database: str
) -> None:
    """Labels, their descriptions and thresholds are what was stored a moment ago; inactive teams get no ticket."""
    add_groups(database)
    await put(gateway, keys.admin, "/teams", TEAM | {"priority_threshold": "urgent"})
    await put(gateway, keys.admin, "/teams", {"name": "Network & VPN", "active": False})
    async with await psycopg.AsyncConnection[DictRow].connect(database, row_factory=dict_row) as conn:
        catalogue = await worker.catalogue(conn)
        labels = {label.name: label.description for label in catalogue.groups}
        assert set(labels) == {*GROUPS, "SAP / Finance"} - {"Network & VPN"}
        assert labels["SAP / Finance"] == "Dunning & closing"
        assert catalogue.thresholds == {"SAP / Finance": Priority.URGENT}


async def test_replacing_switches_off_what_is_not_named(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """Nothing is deleted: old decisions name it. What was read can be put back as it is, and changes nothing."""
    add_groups(database)
    before = (await gateway.get("/api/catalogue", headers=Keys.header(keys.viewer))).json()
    answer = await put(gateway, keys.admin, "", {"teams": [TEAM]})
    assert {team["name"]: team["active"] for team in answer.json()["teams"]} == dict.fromkeys(GROUPS, False) | {
        "SAP / Finance": True
    }
    entries = len(audited(database))
    assert (await put(gateway, keys.admin, "", answer.json())).json() == answer.json()
    assert len(audited(database)) == entries
    assert (await put(gateway, keys.admin, "", before)).status_code == 200


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"teams": []}, "active"),
        ({"teams": [TEAM | {"active": False}]}, "active"),
        ({"teams": [TEAM, TEAM]}, "more than once"),
        ({"teams": [TEAM | {"priority_threshold": "soon"}]}, "priority_threshold"),
        ({"teams": [TEAM | {"colour": "red"}]}, "colour"),
        ({"teams": [TEAM | {"name": ""}]}, "name"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    gateway: httpx.AsyncClient, keys: Keys, database: str, content: dict, word: str
) -> None:
    """422 with the field; the catalogue stays."""
    add_groups(database)
    answer = await put(gateway, keys.admin, "", content)
    assert (answer.status_code, word in answer.json()["message"]) == (422, True), answer.text
    assert audited(database) == []


async def test_only_administrators_change_it(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """Agents read."""
    assert (await put(gateway, keys.agent, "/teams", TEAM)).status_code == 403
    assert (await put(gateway, keys.agent, "", {"teams": [TEAM]})).status_code == 403
    assert (await gateway.get("/api/catalogue")).status_code == 401


async def test_two_who_edit_at_once_both_take_effect(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """Each team is there, each with a place of its own."""
    names = [f"Team {number}" for number in range(8)]
    await asyncio.gather(*(put(gateway, keys.admin, "/teams", {"name": name}) for name in names))
    stored = (await gateway.get("/api/catalogue", headers=Keys.header(keys.viewer))).json()
    assert sorted(team["name"] for team in stored["teams"]) == names


@pytest.fixture
def served(database: str, tmp_path: Path) -> Iterator[Served]:
    with serve(database, tmp_path) as found:
        yield found


def test_it_is_exported_edited_and_imported_as_yaml(served: Served, tmp_path: Path) -> None:
    """Default departments first; the exported file imports unchanged; a misspelt field is named."""

    def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"POINTSMAN_URL": served.url, "POINTSMAN_API_KEY": served.key, "COLUMNS": "300"}
        command = [sys.executable, "-m", "services.cli", "catalogue", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)

    assert cli("import", "--defaults").stdout == "6 active teams, 6 in all.\n"
    exported = cli("export").stdout
    names = [team["name"] for team in yaml.safe_load(exported)["teams"]]
    assert names == ["IT", "HR", "Finance", "Facilities", "Security", "General Support"]
    file = tmp_path / "catalogue.yaml"
    file.write_text(exported.replace("name: HR", "name: People"))
    assert cli("import", str(file)).stdout == "6 active teams, 7 in all.\n"
    assert "People" in cli("list").stdout
    file.write_text(exported.replace("department:", "departement:"))
    wrong = cli("import", str(file))
    assert (wrong.returncode, "departement" in wrong.stderr) == (1, True)
    assert cli("import").returncode == 2
