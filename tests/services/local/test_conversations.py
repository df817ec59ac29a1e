"""The chat of this machine: started with the sample handbook, asked from a terminal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.cli.docs import home_encoder
from services.local.conversations import HANDBOOK, start_conversations
from services.local.platform import Running, claim, prepare
from services.local.processes import Supervisor
from tests.conftest import free_port
from tests.platform import build_home, user_environment

TIMEOUT_S = 300


def test_the_chat_answers_from_the_handbook_and_from_a_terminal(open_folder: Path) -> None:
    """A fresh home: 40 pages and 3 transcripts are indexed, a question is answered with its source, a person is had."""
    home = build_home(open_folder / "chat")
    claim(home, print)
    supervisor = Supervisor(home, home.environment)

    def ask(*arguments: str) -> dict:
        command = [sys.executable, "-m", "services.cli", "ask", *arguments, "--format", "json"]
        environment = user_environment(home)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stderr + supervisor.log_tail("rag")
        return json.loads(done.stdout)

    said: list[str] = []
    try:
        prepare(home)
        start_conversations(Running(home, supervisor), home_encoder, said.append)
        assert len(list(HANDBOOK.glob("*.md"))) == 40
        assert len(list(HANDBOOK.glob("*.vtt"))) == 3
        answered = ask("What does error 0x80070643 mean and how do I repair updates?")
        assert "Run Repair updates from the company store" in json.dumps(answered)
        assert answered["answer"]["evidence"][0]["uri"] == "updates.md"
        filmed = ask("Which queue do I send the document to when I print with my badge?")
        assert "FOLLOW-ME" in json.dumps(filmed)
        handed = ask("Please connect me to a real person", "--session", answered["session"])
        assert handed["answer"]["action"] == "handoff"
        assert ask("Are you there?", "--session", answered["session"])["answer"] is None
        assert any("sample handbook" in line for line in said)
    finally:
        supervisor.stop()
        home.postgres.stop()


@pytest.mark.parametrize(
    ("session", "code", "says"),
    [("abc", 2, "ID:TOKEN"), (":x", 2, "ID:TOKEN"), ("abc:", 2, "ID:TOKEN"), ("a:b", 1, "No chat answers")],
)
def test_a_session_that_is_none_is_told_in_words(tmp_path: Path, session: str, code: int, says: str) -> None:
    """Exit 2 for what no answer ever showed, 1 where the chat is away; never a trace."""
    environment = {"POINTSMAN_HOME": str(tmp_path), "POINTSMAN_RAG_PORT": str(free_port()), "COLUMNS": "200"}
    done = CliRunner().invoke(app, ["ask", "why?", "--session", session], env=environment)
    assert (done.exit_code if code == 2 else int(done.exception is not None)) == code
    assert says in done.output + str(done.exception)
