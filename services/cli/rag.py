"""`pointsman rag`: how good answers are, and the gate that decides whether to give one."""

import asyncio
import csv
import gzip
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from services.cli.docs import bar, open_encoder, with_database
from services.cli.output import Format, FormatOption, pairs, print_json, print_table
from services.cli.target import open_platform
from services.core.kit.errors import InputInvalid
from services.core.kit.login import resolve

app = typer.Typer(no_args_is_help=True, help="Answers from documents: measured, calibrated.")
Corpus = Annotated[Path, typer.Option(help="JSON lines of doc_id, title, text; .gz too.")]
Folder = Annotated[Path | None, typer.Option(help="As POINTSMAN_RAG_RERANKER: a folder with a cross-encoder.")]


@app.command("evaluate")
def evaluate(
    corpus: Corpus,
    questions: Annotated[Path, typer.Option(help="JSON lines of question, history, answerability, gold_doc_ids.")],
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Labelled questions that set the gate; without, the shipped one is judged."),
    ] = None,
    reranker: Folder = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Judge retrieval, gate and clarification on labelled questions, in a scratch schema that is dropped afterwards.

    Examples:

      pointsman rag evaluate --corpus corpus.jsonl --questions test.jsonl --calibrate train.jsonl --format json
    """
    from services.core.answer.figures import report

    figures = report(*_measure(corpus, questions, calibrate, reranker))
    if format is Format.JSON:
        print_json(figures)
        return
    arms = figures["retrieval"]
    print_table(["retrieval", "R@5", "R@10", "MRR", "nDCG@10"], [[arm, *arms[arm].values()] for arm in arms])
    rest = {name: figures[name] for name in ("rows", "gate", "clarify", "p50_ms", "p95_ms")}
    print_table(["figure", "value"], pairs(rest))


@app.command("calibrate")
def calibrate(
    corpus: Corpus,
    questions: Annotated[Path, typer.Option(help="Labelled questions: answerable, unanswerable, underspecified.")],
    output: Annotated[Path, typer.Option(help="The file that POINTSMAN_RAG_CALIBRATION names.")],
    reranker: Folder = None,
) -> None:
    """
    Fit the gate to your own documents and questions, wrong answers kept rarest.

    Examples:

      pointsman rag calibrate --corpus corpus.jsonl --questions labelled.jsonl --output calibration.json
    """
    from services.core.answer.gate import write_calibration

    _, calibration = _measure(corpus, questions, questions, reranker)
    write_calibration(calibration, output)
    typer.echo(
        f"{output}: answers from {calibration.standard:.2f} (standard) and {calibration.strict:.2f} (strict), "
        f"fitted on {calibration.questions} questions."
    )


@app.command("thresholds")
def thresholds(
    corpus: Corpus,
    questions: Annotated[Path, typer.Option(help="JSON lines of gold_answer, gold_doc_ids; .gz too.")],
    labelled: Annotated[Path, typer.Option(help="CSV of text and label, .gz too: questions and what they want.")],
    rows: Annotated[int, typer.Option(min=10, max=5000, help="So many of them, spread over the file.")] = 1200,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    What the fixed thresholds are worth: supported claims (.7 and .7), same questions (.7), same cases (.92).

    Examples:

      pointsman rag thresholds --corpus corpus.jsonl --questions train.jsonl --labelled banking77.csv
    """
    from services.core.answer.evaluate import kind_of, read_lines
    from services.core.answer.thresholds import Remembered, sameness, support

    passages = {str(row["doc_id"]): str(row["text"]) for row in read_lines(corpus)}
    rows_asked = [row for row in read_lines(questions) if kind_of(row) in ("", "ANSWERABLE")]
    answers = [(row.get("gold_answer") or "", _gold(row, passages)) for row in rows_asked]
    texts = _labelled(labelled, rows)
    with open_platform() as settings, bar("Encoder") as progress:
        encoder = Remembered(open_encoder(settings))
        figures = {"support": support(encoder, passages, answers, progress=progress)}
        encoder.learn((text for text, _ in texts), "Questions", progress)
        figures["sameness"] = sameness(encoder, texts)
    if format is Format.JSON:
        print_json(figures)
        return
    print_table(["claims", "value"], pairs(figures["support"]))
    columns = ["cosine", "pairs", "same_label", "of_different"]
    print_table(columns, [[row[name] for name in columns] for row in figures["sameness"]])


@app.command("gaps")
def gaps(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far to look back.")] = 90,
    usd_per_ticket: Annotated[float, typer.Option(min=0, help="What a person costs for one hand-over.")] = 0.0,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    What people ask that no document answers: how often, what it cost, and which document came nearest.

    Examples:

      pointsman rag gaps --days 30 --usd-per-ticket 15
    """
    from services.core.answer.gaps import listing, refresh

    with open_platform() as settings:
        encoder = open_encoder(settings)

        async def look(conn: AsyncConnection[Any]) -> list[dict[str, Any]]:
            await refresh(conn, encoder, days=days)
            return await listing(conn)

        found = with_database(settings, look)
    for row in found:
        row["cost_usd"] = round(float(row.pop("usd")) + usd_per_ticket * row["escalated"], 4)
    if format is Format.JSON:
        print_json([row | {"at": row["at"].isoformat()} for row in found])
        return
    columns = ["question", "questions", "refused", "by_people", "hours", "cost_usd", "title", "nearness", "hidden"]
    print_table(columns, [[row[name] for name in columns] for row in found])


@app.command("cases")
def cases(
    approve: Annotated[str, typer.Option(help="The conversation whose case others may be answered from.")] = "",
    reject: Annotated[str, typer.Option(help="The conversation whose case is not used.")] = "",
    by: Annotated[str, typer.Option(help="Who decides; it is kept with the case.")] = "operator",
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Cases that wait for a person (POINTSMAN_RAG_APPROVE_CASES): listed, approved or rejected.

    Examples:

      pointsman rag cases

      pointsman rag cases --approve 0199d2c4-0000-7000-8000-000000000000 --by ana
    """
    from services.core.answer import cases as known

    async def decide(conn: AsyncConnection[Any]) -> list[dict[str, Any]]:
        conn.row_factory = dict_row
        async with conn.transaction():  # decided and indexed, or neither
            if approve:
                await known.approve(conn, open_encoder(settings), _id(approve), by)
            if reject:
                await known.reject(conn, _id(reject), by)
        return await known.waiting(conn)

    with open_platform() as settings:
        found = [_case(row) for row in with_database(settings, decide)]
    if format is Format.JSON:
        print_json(found)
        return
    print_table(["conversation", "question", "resolution"], [list(row.values()) for row in found])


def _gold(row: dict[str, Any], passages: dict[str, str]) -> frozenset[str]:
    return frozenset(row.get("gold_doc_ids") or ()) & passages.keys()


def _labelled(path: Path, rows: int) -> list[tuple[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            found = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as exc:
        raise InputInvalid(f"{path}: {exc}. A CSV with the columns text and label is expected.") from exc
    return found[:: max(len(found) // rows, 1)][:rows]


def _case(row: dict[str, Any]) -> dict[str, str]:
    document = row["document"]
    return {"id": str(row["session_id"]), "question": document["title"], "resolution": document["chunks"][0]["text"]}


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as exc:
        raise InputInvalid(f"'{text}' is no conversation's id. List them: pointsman rag cases") from exc


def _measure(corpus: Path, questions: Path, calibration: Path | None, folder: Path | None) -> Any:
    from services.core.answer.evaluate import evaluate as measure
    from services.core.search.rerank import open_reranker

    reranker = open_reranker(folder) if folder else None

    async def run(url: str, encoder: Any) -> Any:
        async with await AsyncConnection.connect(resolve(url), autocommit=True) as conn:
            return await measure(conn, encoder, corpus, questions, calibration, reranker)

    with open_platform() as settings:
        return asyncio.run(run(settings.database_url.get_secret_value(), open_encoder(settings)))
