"""`pointsman models`: which router serves, which could, and why not; promote, go back, compare."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.output import Format, FormatOption, percent, print_json, print_table
from services.cli.target import open_platform
from services.core.kit.errors import InputInvalid
from services.core.kit.schema import connected
from services.core.models import registry
from services.core.models.registry import ModelRecord

app = typer.Typer(no_args_is_help=True, help="The router's versions: gates, figures, promotion, rollback.")

SHOWN = ("accuracy", "macro_f1", "ece", "ece_floor", "ece_noise", "auto_coverage", "auto_precision", "escalated",
         "held_out_rows", "train_rows", "rows_outside_window", "epochs", "int8_accuracy_lost")  # fmt: skip
VersionArgument = Annotated[str, typer.Argument(help="As `pointsman models list` shows it.")]


@app.command("list")
def list_versions(format: FormatOption = Format.TABLE) -> None:
    """
    All versions, newest first: status, figures on held-out tickets, the gates that were not passed.

    Examples:

      pointsman models list

      pointsman models list --format json
    """
    with open_platform() as settings, connected(settings) as conn:
        records = registry.versions(conn)
    if format is Format.JSON:
        print_json([_as_json(record) for record in records])
    else:
        columns = ["version", "status", "made", "tickets", "accuracy", "macro-F1", "not passed", "erased"]
        print_table(columns, map(_row, records))


@app.command("show")
def show(version: VersionArgument, format: FormatOption = Format.TABLE) -> None:
    """
    One version: what it learnt from, its figures, and what each gate said.

    Examples:

      pointsman models show router-20261121T193435-9ecc82bf
    """
    with open_platform() as settings, connected(settings) as conn:
        record = registry.find(conn, version)
    if format is Format.JSON:
        print_json(_as_json(record))
        return
    print_table(["", record.version], _facts(record))
    print_table(
        ["gate", "passed", "what it said"], [(g.name, "yes" if g.passed else "NO", g.detail) for g in record.gates]
    )


@app.command("promote")
def promote(
    version: VersionArgument,
    force: Annotated[str, typer.Option(help="Why it may serve all the same; kept in the audit log.")] = "",
) -> None:
    """
    Make a version the champion; running routers take it over within seconds. One that did not pass its gates is
    refused, unless --force says why not; one whose files the object store lacks, or holds damaged, in any case.

    Examples:

      pointsman models promote router-20261121T193435-9ecc82bf

      pointsman models promote router-20261121T193435-9ecc82bf --force "the old one names a team that is gone"
    """
    from services.core.kit.objects import open_store

    with open_platform() as settings, connected(settings) as conn, conn.transaction():
        registry.promote_judged(conn, open_store(settings.objects_url), version, force=force)
    typer.echo(f"{version} is the champion.")


@app.command("rollback")
def rollback() -> None:
    """
    Put the champion back that served before this one; running routers take it over within seconds.

    Examples:

      pointsman models rollback
    """
    from services.core.kit.objects import open_store

    with open_platform() as settings, connected(settings) as conn, conn.transaction():
        version = registry.rollback(conn, open_store(settings.objects_url))
    typer.echo(f"{version} is the champion again.")


@app.command("compare")
def compare(
    one: VersionArgument,
    other: Annotated[str, typer.Argument(help="The champion when it is left out.")] = "",
    rows: Annotated[int, typer.Option(min=1, help="At most so many tickets, the newest.")] = 1_000,
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Two versions on closed tickets that neither has learnt from: who is right more often, whether chance alone explains
    it, and where they differ.

    Examples:

      pointsman models compare router-20261121T193435-9ecc82bf

      pointsman models compare router-20261121T193435-9ecc82bf router-20261114T020000-0a1b2c3d --format json
    """
    from services.core.kit.objects import open_store
    from services.trainer.duel import duel, name_groups

    with open_platform() as settings, connected(settings) as conn:
        second = registry.find(conn, other) if other else registry.champion(conn)
        if second is None:
            raise InputInvalid("There is no champion to compare with. Name two versions.")
        found = duel(conn, open_store(settings.objects_url), (registry.find(conn, one), second), rows=rows)
    if format is Format.JSON:
        print_json(asdict(found))
        return
    figures = [("accuracy", *found.accuracy), ("macro-F1", *found.macro_f1)]
    print_table(["", one, second.version], [(n, f"{a:.3f}", f"{b:.3f}") for n, a, b in figures])
    said = f"equally good models differ that much {found.chance:.0%} of the time"
    typer.echo(f"On {found.rows} tickets that neither has learnt from; {said}.")
    if found.unknown:
        lost = sum(n for _, n in found.unknown)
        typer.echo(f"Left out: {lost} tickets of groups that neither knows ({name_groups(dict(found.unknown))}).")
    if not found.differ:
        typer.echo("They answer the same on each of them.")
        return
    print_table(["closed by", one, second.version, "tickets"], found.differ)


@app.command("card")
def card(
    version: VersionArgument,
    out: Annotated[Path, typer.Option(help="A folder for the pages; made when it is not there.")] = Path("card"),
) -> None:
    """
    Model card and data card with their plots, as the training wrote them: what it is for, how good it is, where it is
    weakest, what it learnt from.

    Examples:

      pointsman models card router-20261121T193435-9ecc82bf --out cards
    """
    from services.core.kit.objects import open_store

    with open_platform() as settings, connected(settings) as conn:
        record = registry.find(conn, version)
        names = registry.fetch_card(open_store(settings.objects_url), record, out)
    typer.echo("\n".join(str(out / name) for name in names))


@app.command("canary")
def canary(format: FormatOption = Format.TABLE) -> None:
    """
    One round of the canaries: answer what is new beside the champion, compare, promote or drop with the reason. Run it
    on a schedule; begin one with `pointsman train --canary`.

    Examples:

      pointsman models canary

      pointsman models canary --format json
    """
    import tempfile

    from services.core.kit.objects import open_store
    from services.trainer.canary import run_round

    with open_platform() as settings, connected(settings) as conn, tempfile.TemporaryDirectory() as scratch:
        conn.autocommit = True
        told = run_round(conn, open_store(settings.objects_url), Path(scratch))
    if format is Format.JSON:
        print_json([asdict(one) for one in told])
    else:
        print_table(["version", "canary", "why"], [(one.version, one.state, one.reason) for one in told])


def _row(record: ModelRecord) -> Sequence[Any]:
    figures = record.metrics
    return (
        record.version,
        record.status,
        f"{record.created_at:%Y-%m-%d %H:%M}",
        record.manifest.dataset_rows,
        percent(figures.get("accuracy")),
        f"{figures['macro_f1']:.3f}" if "macro_f1" in figures else "",
        ", ".join(gate.name for gate in record.failed) if record.gates else "not judged",
        record.erased or "",
    )


def _facts(record: ModelRecord) -> list[tuple[str, Any]]:
    manifest = record.manifest
    return [
        ("status", record.status),
        *([("canary", f"{record.canary['state']}: {record.canary['reason']}")] if record.canary else []),
        ("encoder", f"{manifest.encoder}, {manifest.base_model}"),
        ("groups", len(manifest.labels)),
        ("tickets", manifest.dataset_rows),
        ("data", manifest.dataset_sha256[:16]),
        ("code", manifest.code_version),
        ("erased since", f"{record.erased} of the texts it learnt from"),
        *((name, f"{record.metrics[name]:.4g}") for name in SHOWN if name in record.metrics),
    ]


def _as_json(record: ModelRecord) -> dict[str, Any]:
    kept = {"version", "status", "created_at", "promoted_at", "metrics", "gates", "erased", "canary"}
    return {name: value for name, value in asdict(record).items() if name in kept} | {
        "tickets": record.manifest.dataset_rows,
        "groups": list(record.manifest.labels),
        "dataset_sha256": record.manifest.dataset_sha256,
        "failed": [gate.name for gate in record.failed],
    }
