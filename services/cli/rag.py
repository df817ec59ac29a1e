"""`pointsman rag`: how good answers are, and the gate that decides whether to give one."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from psycopg import AsyncConnection

from services.cli.docs import open_encoder
from services.cli.output import Format, FormatOption, pairs, print_json, print_table
from services.cli.target import open_platform
from services.core.kit.login import resolve

app = typer.Typer(no_args_is_help=True, help="Answers from documents: measured, calibrated.")
Corpus = Annotated[Path, typer.Option(help="JSON lines of doc_id, title, text; .gz too.")]


@app.command("evaluate")
def evaluate(
    corpus: Corpus,
    questions: Annotated[Path, typer.Option(help="JSON lines of question, history, answerability, gold_doc_ids.")],
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Labelled questions that set the gate; without, the shipped one is judged."),
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Judge retrieval, gate and clarification on labelled questions, in a scratch schema that is dropped afterwards.

    Examples:

      pointsman rag evaluate --corpus corpus.jsonl --questions test.jsonl --calibrate train.jsonl --format json
    """
    from services.core.answer.figures import report

    figures = report(*_measure(corpus, questions, calibrate))
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
) -> None:
    """
    Fit the gate to your own documents and questions, wrong answers kept rarest.

    Examples:

      pointsman rag calibrate --corpus corpus.jsonl --questions labelled.jsonl --output calibration.json
    """
    from services.core.answer.gate import write_calibration

    _, calibration = _measure(corpus, questions, questions)
    write_calibration(calibration, output)
    typer.echo(
        f"{output}: answers from {calibration.standard:.2f} (standard) and {calibration.strict:.2f} (strict), "
        f"fitted on {calibration.questions} questions."
    )


def _measure(corpus: Path, questions: Path, calibration: Path | None) -> Any:
    from services.core.answer.evaluate import evaluate as measure

    async def run(url: str, encoder: Any) -> Any:
        async with await AsyncConnection.connect(resolve(url), autocommit=True) as conn:
            return await measure(conn, encoder, corpus, questions, calibration)

    with open_platform() as settings:
        return asyncio.run(run(settings.database_url.get_secret_value(), open_encoder(settings)))
