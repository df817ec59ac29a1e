"""`pointsman prompts`: whether prompts and the configured models are good enough to decide."""

import asyncio
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.cli.catalogue import read_catalogue
from services.cli.output import Format, FormatOption, print_json, print_table
from services.core.contracts.catalogue import Team
from services.core.kit.settings import read_settings
from services.core.llm.build import build_answerer, build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.exam.answers import SHIPPED as SHIPPED_QUESTIONS
from services.core.llm.exam.answers import Question, judge_answers
from services.core.llm.exam.gates import Report, shown
from services.core.llm.exam.judge import (
    SHIPPED,
    Row,
    judge_catalogue,
    judge_priorities,
    judge_summaries,
    read_rows,
)
from services.core.llm.exam.sets import read_set
from services.core.llm.redaction import Redaction
from services.core.text.redact import Redactor, build_redactor

NOT_ASKED = (
    "answer: the prompt was not asked. No model words the chat's answers, which are quotations then: "
    "name one in POINTSMAN_LLM__ANSWER."
)

app = typer.Typer(
    help="Measure the prompts with the models that are configured.\n\nExample: pointsman prompts evaluate",
    no_args_is_help=True,
)


class LlmSettings(BaseSettings):
    """The models alone: as the worker has them, from POINTSMAN_LLM."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", env_nested_delimiter="__", frozen=True, extra="ignore")

    llm: LlmConfig = LlmConfig()


@app.callback()
def group() -> None:
    """Keeps `evaluate` a word of its own."""


@app.command("evaluate")
def evaluate(
    tickets: Annotated[
        Path, typer.Option("--set", help="Your own tickets as JSON lines; left out: the set that ships.")
    ] = SHIPPED,
    catalogue: Annotated[
        Path | None,
        typer.Option(help="Teams and their texts, as `catalogue export` prints them; of the shipped set its own."),
    ] = None,
    questions: Annotated[
        Path, typer.Option(help="Your own questions to the chat as JSON lines; left out: the set that ships.")
    ] = SHIPPED_QUESTIONS,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Ask the models of POINTSMAN_LLM each ticket of a set, beside the rules, and the chat's model each question of
    another, and hold the answers to the gates of services/core/llm/gates.toml. Each is billed as usual. Exit code 1
    when a gate is not passed; one with too few tickets to judge it is not. Answers that were unusable are counted,
    and judged by no other figure.

    With a catalogue its texts are judged, too: each ticket that says its team is asked with the team's text and
    without, and must not be judged worse with it.

    A line of the set: {"subject", "body", "impact", "urgency", "issue", "comments": [["agent", "..."]], "orders",
    "group"}; the last three may be left out. A line of questions: {"question", "passages": [{"title", "text"}],
    "action", "cites": [1], "said": [["assistant", "..."]], "orders"}; the last two may be left out, and "cites" where
    the action is not continue.

    Example: POINTSMAN_LLM__PRIORITY=openai:qwen3 POINTSMAN_LLM__OPENAI__BASE_URL=http://127.0.0.1:8000/v1 pointsman
    prompts evaluate
    """
    reports = asyncio.run(_judge(tickets, questions, _teams(tickets, catalogue)))
    if format is Format.JSON:
        print_json([asdict(report) for report in reports])
    else:
        print_table(["task", "model", "prompt", "figure", "found", "beside it"], _figures(reports))
        print_table(["task", "gate", "passed", "why"], _gates(reports))
        for report in reports:
            for why, count in report.unusable.items():
                typer.echo(f"{report.task}: {count} of {report.tickets} answers unusable: {why}.")
    if not all(gate.passed for report in reports for gate in report.gates):
        raise typer.Exit(1)


def _teams(tickets: Path, catalogue: Path | None) -> tuple[Team, ...]:
    """None where the set is one's own and no catalogue was named: it would be judged by other teams' texts."""
    if catalogue is not None:
        return read_catalogue(catalogue).teams
    return read_catalogue().teams if tickets == SHIPPED else ()


async def _judge(tickets: Path, questions: Path, teams: tuple[Team, ...]) -> list[Report]:
    """Sets and settings are read before anything is asked and billed."""
    config = read_settings(LlmSettings).llm
    llm, answerer = build_llm(config), build_answerer(config, Redaction(_redactor()))
    rows = [_redacted(row) for row in read_rows(tickets, _notice)]
    asked = [_said(one) for one in read_set(questions, Question, _notice)]
    reports = [await judge_priorities(llm.prioritiser, rows), await judge_summaries(llm.summariser, rows)]
    reports += [await judge_catalogue(llm.prioritiser, rows, teams)] if teams else []
    if answerer is None:
        _notice(NOT_ASKED)
        return reports
    return [*reports, await judge_answers(answerer, asked)]


def _notice(text: str) -> None:
    typer.echo(text, err=True)


def _redacted(row: Row) -> Row:
    """As the worker would hand it to a model: a set of one's own holds names."""
    comments = tuple((who, _hide(text)) for who, text in row.comments)
    return row.model_copy(update={"subject": _hide(row.subject), "body": _hide(row.body), "comments": comments})


def _said(one: Question) -> Question:
    """As the chat stores what a person writes; passages are hidden where a model is asked."""
    turns = tuple((who, _hide(text)) for who, text in one.said)
    return one.model_copy(update={"question": _hide(one.question), "said": turns})


def _hide(text: str) -> str:
    return _redactor().redact(text, None).fields["text"]


@cache
def _redactor() -> Redactor:
    return build_redactor()


def _figures(reports: list[Report]) -> list[tuple[str, ...]]:
    rows = []
    for report in reports:
        who = (report.task, report.model, report.prompt or "none")
        rows += [(*who, name, shown(value), _beside(report, name)) for name, value in report.figures.items()]
        usd = "not known" if report.usd is None else f"{report.usd:.6f}"
        rows.append((*who, f"USD a {report.unit}", usd, "0" if report.rules else "-"))
    return rows


def _beside(report: Report, name: str) -> str:
    """Beside answers stand no rules."""
    return shown(report.rules[name]) if report.rules else "-"


def _gates(reports: list[Report]) -> list[tuple[str, ...]]:
    return [(g.task, g.name, "yes" if g.passed else "NO", g.detail) for report in reports for g in report.gates]
