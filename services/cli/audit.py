"""`pointsman audit`: proves that nobody has changed the record of decisions."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from services.cli.output import Format, FormatOption, print_json
from services.cli.target import open_platform
from services.core.kit import anchors, audit
from services.core.kit.objects import open_store
from services.core.kit.schema import connected

app = typer.Typer(no_args_is_help=True, help="The append-only, hash-chained log of every decision.")


@app.command("verify")
def verify(
    anchor: Annotated[str, typer.Option(help="A head that an earlier run printed, kept by yourself.")] = "",
    format: FormatOption = Format.TABLE,
) -> None:
    """
    Recompute every hash of the chain and compare it with the heads that were kept outside the table. Exit 1 when an
    entry was changed, removed, inserted or cut off, or the chain was written anew.

    What came after the newest anchor is proved by the chain alone; --anchor compares with a head kept by yourself.

    Examples:

      pointsman audit verify

      pointsman audit verify --anchor 1042:9f3c... --format json
    """
    with open_platform() as settings, connected(settings) as conn:
        kept = anchors.kept(open_store(settings.objects_url), settings.company)
        report = audit.verify(conn)
        gone = anchors.gone(conn, kept)
        is_anchored = not anchor or audit.has_anchor(conn, anchor)
    is_intact = report.is_intact and is_anchored and not gone
    if format is Format.JSON:
        found = {"anchors": len(kept), "newest_anchor": kept[-1].seq if kept else None}
        lost = [f"{anchor.seq}:{anchor.hash}" for anchor in gone]
        print_json({**asdict(report), **found, "anchors_gone": lost, "anchored": is_anchored, "intact": is_intact})
    else:
        for line in _findings(report, kept, gone, "" if is_anchored else anchor):
            typer.echo(line)
    if not is_intact:
        raise typer.Exit(1)


def _findings(
    report: audit.ChainReport, kept: list[anchors.Anchor], gone: list[anchors.Anchor], own: str
) -> Iterator[str]:
    if not report.is_intact:
        yield f"The audit chain is broken at entry {report.first_broken} of {report.entries}."
    if gone and gone[0].seq > report.entries:
        yield f"The end was cut: entry {gone[0].seq} was kept outside the table, the chain has {report.entries}."
    elif gone:
        before = max((anchor.seq for anchor in kept if anchor < gone[0]), default=0)
        yield f"The chain was written anew somewhere from entry {before + 1} to {gone[0].seq}: that one is another now."
    if own:
        yield f"The entry {own[:80]} is not in the chain any more: its end was cut or written anew."
    if report.is_intact and not gone and not own:
        yield f"The audit chain is intact: {report.entries} entries. Head: {report.head}"
        newest = kept[-1].seq if kept else 0
        yield f"{len(kept)} anchors outside the table agree; {report.entries - newest} entries are newer than the last."
    if report.pending:
        yield f"{report.pending} entries wait to be linked, which a running worker does: nothing proves them yet."


@app.callback()
def _group() -> None:
    """Keeps `verify` a subcommand although it is the only one."""
