"""`pointsman evaluate`: how good the router would be that one file of closed tickets makes, judged on another."""

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.output import Format, FormatOption, percent, print_json, print_table

THRESHOLD_OF = {"encoder": "the fine-tuned model alone", "pooled": "pooled and calibrated"}


def evaluate(
    train: Annotated[Path, typer.Option(help="Closed tickets to learn from: CSV, JSON lines, a JSON array; .gz too.")],
    test: Annotated[Path, typer.Option(help="Closed tickets to judge on.")],
    map: Annotated[
        str, typer.Option(help="Columns, for example text=title+body,label=team; usual names are guessed.")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Runs, each with a seed of its own.")] = 3,
    epochs: Annotated[int | None, typer.Option(min=1, help="As in training: 3 to 5 by the number of tickets.")] = None,
    budget_s: Annotated[
        float | None, typer.Option(min=1, help="Seconds that all of fine-tuning may take, in each run.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads; 1.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw automation and precision beside fixed thresholds to this PNG.")
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Train on one file exactly as `pointsman train` does, settings and redaction included; judge on the other, register
    nothing.

    Tickets labelled `oos` belong to no group: they are not learned from, and should end with a person.

    Where the files say it, priority, impact, urgency, hours to resolution and breach of the SLA are learned and judged,
    too: `opened`, `solved` (or `hours`), `breached` (or `kept`), `channel`, `organisation`, `product`, and `features`
    for further columns that were known when the ticket came.

    What one threshold for all groups would do, as simpler routers decide, is shown beside the thresholds of each group.

    Examples:

      pointsman evaluate --train closed.csv --test later.csv --map text=title+body,label=team --plot thresholds.png

      pointsman evaluate --train log.csv --test later.csv --map text=symptom,label=team,features=caller

      pointsman evaluate --train closed.csv --test later.csv --seeds 1 --format json
    """
    from services.core.kit.errors import ConfigurationInvalid
    from services.core.text.hide import build_hide
    from services.trainer.files import read
    from services.trainer.progress import bars
    from services.trainer.rehearse import rehearse
    from services.trainer.settings import TrainerSettings
    from services.trainer.unlearnt import unlearnt

    if plot and (plot.suffix != ".png" or not plot.parent.is_dir()):
        raise ConfigurationInvalid(f"--plot {plot}: a file that ends in .png, in a folder that exists.")
    mapping, hide = mapping_of(map), build_hide()
    closed, later = (read(path, mapping, hide) for path in (train, test))
    for remark in (*closed.remarks(), *later.remarks()):
        typer.echo(remark, err=True)
    given = {"trainer_epochs": epochs, "trainer_budget_s": budget_s, "trainer_threads": threads}
    settings = TrainerSettings.read().model_copy(update={name: v for name, v in given.items() if v is not None})
    with bars() as progress:
        report = rehearse(closed.examples, later.examples, settings.fit_config(), seeds=seeds, progress=progress)
    lacking = unlearnt(closed, report["heads"])
    if plot:
        plot.write_bytes(_draw(report, settings.trainer_target_precision))
    if format is Format.JSON:
        print_json(_rounded(report | {"heads_not_learnt": lacking}))
    else:
        print_table(["figure", "mean", "spread"], _rows(report))
        print_table(["threshold", "automatic", "right of these"], _thresholds(report))
        for head, why in lacking.items():
            typer.echo(f"{head}: not learnt, {why}.")


def mapping_of(text: str) -> dict[str, str]:
    """As `read_map`, and a mistake in it is one in how the command was called."""
    from services.core.text.columns import ColumnsInvalid
    from services.trainer.files import read_map

    try:
        return read_map(text)
    except ColumnsInvalid as exc:
        raise typer.BadParameter(exc.message) from exc


def _draw(report: dict[str, Any], target: float) -> bytes:
    from services.trainer.plots import thresholds

    by, points = min(report["fixed_thresholds"].items())
    served = (report["auto_rate"], report["auto_precision"])
    return thresholds(report["curve"], points, THRESHOLD_OF[by], served, target)


def _thresholds(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Each group's own, as served; then the same one for all groups."""
    served = ("of each group, as served", percent(report["auto_rate"], 1), percent(report["auto_precision"], 1))
    return [served] + [
        (
            f"{point['threshold']:g}, {THRESHOLD_OF[by]}",
            percent(point["auto_rate"], 1),
            percent(point["auto_precision"], 1),
        )
        for by, points in sorted(report["fixed_thresholds"].items())
        for point in points
    ]


def _rows(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    spread, baseline = report["spread"], report["baseline"]
    own = [(name, _shown(value), _shown(spread.get(name))) for name, value in report.items() if _is_number(value)]
    return own + [(f"member {name}", _shown(value), "") for name, value in baseline.items()]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _shown(value: float | int | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
