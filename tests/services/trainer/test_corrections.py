"""What a person says in the console changes the next model."""

import json
from pathlib import Path

import httpx
import psycopg

from services.core.models import registry
from services.core.models.bundle import load_bundle
from services.core.models.texts import join_text
from tests.services.gateway.conftest import Keys, gateway, keys, settings  # noqa: F401  # fixtures
from tests.services.gateway.seed import decision, take_in, ticket
from tests.services.gateway.test_console import HTMX, as_
from tests.services.trainer.bundles import made_up_tickets
from tests.services.trainer.test_main import run, write_history

SUBJECT, BODY = "Zorbulator flange 7 misaligned", "The zorbulator flange of hall 7 needs calibration before noon."


async def test_a_ticket_corrected_in_the_console_changes_the_next_models_answer(
    database: str,
    tmp_path: Path,
    gateway: httpx.AsyncClient,  # noqa: F811
    keys: Keys,  # noqa: F811
) -> None:
    """Trained, answered, corrected through the console's own form, trained again: the answer is the person's."""
    write_history(database, made_up_tickets(120, rare=0))
    first = model(database, tmp_path)
    text = join_text(SUBJECT, BODY)
    guess = first.predict([text])[0].group
    right = next(group for group in first.manifest.labels if group != guess)
    asked = decision(guess, top3=())
    (number,) = await take_in(database, [(ticket(subject=SUBJECT, body=BODY), asked)])
    answer = await gateway.post(f"/reviews/{number}", data={"group": right}, headers=as_(keys.agent, HTMX))
    assert answer.status_code == 200, answer.text
    with psycopg.connect(database) as conn:
        assert conn.execute('select "group", source, by from labels').fetchall() == [(right, "review", "agent")]
    assert model(database, tmp_path).predict([text])[0].group == right


def model(database: str, tmp_path: Path):
    """The champion that `python -m services.trainer` makes of what is there now."""
    place = {
        "POINTSMAN_DATABASE_URL": database,
        "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}/objects",
        "POINTSMAN_TRAINER_WORK_DIR": str(tmp_path / "work"),
        "POINTSMAN_TRAINER_GATES": str(tmp_path / "gates.toml"),
    }
    (tmp_path / "gates.toml").write_text("[latency]\nenabled = false\n")  # a busy machine is no finding
    ran = run("--promote", "--encoder", "frozen", **place)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout.splitlines()[-1])
    with psycopg.connect(database) as conn:
        record = registry.champion(conn)
    assert record is not None
    assert record.version == report["version"]
    with psycopg.connect(database) as conn:
        kept = conn.execute("select evidence from models where version = %s", (record.version,)).fetchone()
    assert kept is not None
    assert (kept[0]["tickets"], bool(kept[0]["held"])) == (record.metrics["held_out_rows"], True)
    assert {gate.name for gate in record.gates} == {gate["name"] for gate in report["gates"]}
    return load_bundle(tmp_path / "work" / record.version)
