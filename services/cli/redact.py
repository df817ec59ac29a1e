"""`pointsman redact`: see what is hidden in a text, and measure the redactor on labelled texts."""

import gzip
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import Format, FormatOption, print_json
from services.core.kit.errors import InputInvalid, PointsmanError
from services.core.text.evaluate import LanguageScore, evaluate, read_labelled
from services.core.text.explain import Explained, explain
from services.core.text.own_rules import own_rules, read_rules
from services.core.text.redact import build_redactor
from services.core.text.scorecard import measure, page

TECHNICAL = ("jira_tickets", "github_issue_types")
TECHNICAL_EVERY = 10  # a few hundred tickets: a minute on one core

app = typer.Typer(
    help="Hide personal data in text, and measure how much of it is found.\n\n"
    "Example: pointsman redact text ticket.txt\n\n"
    "Example: pointsman redact evaluate --data labelled.jsonl.gz --format json",
    no_args_is_help=True,
)


@app.command("text")
def text_command(
    file: Annotated[str, typer.Argument(help="A UTF-8 text file, or - for standard input.")],
    language: Annotated[
        str | None, typer.Option(help="en, de, fr, es, it, nl, pl or pt; detected when left out.")
    ] = None,
    format: Annotated[
        Format, typer.Option("--format", help="table prints the text, json adds the vault.")
    ] = Format.TABLE,
) -> None:
    """
    Print the text with placeholders instead of personal data.

    Example: echo "I am Jane Doe, +44 7700 900123" | pointsman redact text -
    """
    redacted = build_redactor().redact(_read(file), language)
    if format is Format.JSON:
        print_json({"text": redacted.fields["text"], "vault": redacted.vault, "language": redacted.language})
    else:
        typer.echo(redacted.fields["text"])


@app.command("try")
def try_command(
    text: Annotated[str, typer.Argument(help="The text itself, or - for standard input.")] = "-",
    rules: Annotated[
        Path | None, typer.Option(help="Rules to try; without it those of POINTSMAN_REDACTION_RULES.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Detected when left out.")] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Print the text at both levels and which rule hid what. Exit code: 0 something is hidden at standard, 1 nothing is, 2
    the rules or the text cannot be read.

    Example: pointsman redact try --rules redaction.toml "Tag ACME-004711 of Ann Lee"
    """
    try:
        own = read_rules(rules) if rules else own_rules()
        told = explain(build_redactor(own=own), own, sys.stdin.read() if text == "-" else text, language)
    except (PointsmanError, UnicodeDecodeError) as exc:
        typer.echo(f"error: {exc}", err=True)
        raise typer.Exit(2) from exc
    if format is Format.JSON:
        print_json({**told._asdict(), "hidden": [hidden._asdict() for hidden in told.hidden]})
    else:
        typer.echo(_told(told))
    raise typer.Exit(0 if any(hidden.level == "standard" for hidden in told.hidden) else 1)


@app.command("evaluate")
def evaluate_command(
    data: Annotated[Path, typer.Option(help="Labelled texts, .jsonl or .jsonl.gz.")],
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Print recall and precision by entity and language.

    Example: pointsman redact evaluate --data labelled.jsonl.gz
    """
    scores = evaluate(build_redactor(), list(read_labelled(data)))
    if format is Format.JSON:
        print_json({language: score.as_dict() for language, score in scores.items()})
    else:
        for language, score in scores.items():
            typer.echo(_table(language, score))


@app.command("scorecard")
def scorecard_command(
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("design/redaction-scorecard.md"),
    data: Annotated[Path | None, typer.Option(help="Folder with jira_tickets and github_issue_types.")] = None,
    fillings: Annotated[int, typer.Option(min=1, help="Tickets a template.")] = 10,
) -> None:
    """
    Measure on our exam in eight languages, visible beside unseen, and write the page. Needs Faker.

    Example: pointsman redact scorecard --data DIR
    """
    technical = {name: technical_texts(data / name / "train.jsonl.gz") for name in TECHNICAL} if data else {}
    card = measure(build_redactor(), technical, fillings=fillings)
    command = f"pointsman redact scorecard --fillings {fillings}" + (" --data DIR" if data else "")
    out.write_text(page(card, command), "utf-8")
    typer.echo(f"written: {out}")


def technical_texts(path: Path) -> list[str]:
    """Every tenth ticket of a set: title and the first 3,000 characters of its text."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines][::TECHNICAL_EVERY]
    except (OSError, ValueError) as exc:
        raise InputInvalid(f"'{path}' cannot be read: {exc}. Give the folder that holds it with --data.") from exc
    return [
        f"{row.get('summary') or row.get('title')}\n{(row.get('description') or row.get('body') or '')[:3000]}"
        for row in rows
    ]


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputInvalid(f"'{file}' cannot be read: {exc}. Give a UTF-8 text file, or - for standard input.") from exc


def _told(told: Explained) -> str:
    rows = [f"  {one.level:<8}  {one.placeholder:<20}  {one.value!r}  by {one.rule}" for one in told.hidden]
    texts = [f"standard ({told.language}):", told.standard, "", "strict:", told.strict, ""]
    return "\n".join([*texts, *(rows or ["nothing is hidden"])])


def _table(language: str, score: LanguageScore) -> str:
    summary = score.as_dict()
    lines = [
        f"{language}: {summary['texts']} texts, any-label recall {summary['any_recall']:.3f},"
        f" {summary['cpu_ms_per_text']} ms of CPU a text",
        f"  {'entity':<18} {'labelled':>8} {'any':>6} {'recall':>6} {'found':>6} {'precision':>9}",
    ]
    for entity, counts in sorted(score.entities.items()):
        row = counts.as_row()
        lines.append(
            f"  {entity:<18} {row['labelled']:>8} {row['any_recall']:>6.3f} {row['recall']:>6.3f}"
            f" {row['predicted']:>6} {row['precision']:>9.3f}"
        )
    return "\n".join(lines)
