"""`pointsman cost`: what a month costs on each cloud, from the same plan that is deployed."""

import datetime as dt
import gc
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import print_json, print_table
from services.cli.render import read_llm_text
from services.core.kit.errors import ConfigurationInvalid, InputInvalid

if TYPE_CHECKING:
    from cost.estimate import Estimate
    from cost.migrate import Migration
    from cost.report.content import Content
    from cost.scenario import Scenario
    from infra.offline.report import StackPlan

app = typer.Typer(help="What a month and a ticket cost on AWS, Azure and Google Cloud.", invoke_without_command=True)
DEFAULT_TICKETS = "1000,5000,24000,100000,1000000"


class CostFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    MARKDOWN = "markdown"
    HTML = "html"
    PNG = "png"


CloudOption = Annotated[str, typer.Option(help="aws, azure, gcp or all")]
ProfileOption = Annotated[str, typer.Option(help="small, dev, prod or all")]
ScenarioOption = Annotated[
    Path | None, typer.Option("--scenario", help="YAML: assumptions, prices of your own, commitment, ROI")
]
PlanOption = Annotated[
    Path | None, typer.Option("--plan", help="output of `pointsman plan --format json`, instead of planning again")
]


@app.callback()
def cost(
    ctx: typer.Context,
    cloud: CloudOption = "all",
    profile: ProfileOption = "small",
    tickets: Annotated[str, typer.Option(help="tickets a month, comma separated")] = DEFAULT_TICKETS,
    scenario: ScenarioOption = None,
    llm: Annotated[Path | None, typer.Option(help="a model of your own, as `pointsman deploy --llm` takes it")] = None,
    plan: PlanOption = None,
    format_: Annotated[CostFormat, typer.Option("--format")] = CostFormat.TABLE,
    out: Annotated[
        Path | None, typer.Option("--out", help="write there instead of printing; xlsx needs a file, png a folder")
    ] = None,
) -> None:
    """
    Cost a month and per ticket, clouds side by side, then each bill line by line.

    Example: `pointsman cost --profile all --format html --out cost.html`
    """
    if ctx.invoked_subcommand is not None:
        _refuse_before(ctx)
        return
    chosen, volumes = _with_own_model(_scenario(scenario), llm), _volumes(tickets)
    stacks = _stacks(cloud, profile, plan)
    _write(_render(format_, stacks, volumes, chosen, out), out)


def _refuse_before(ctx: typer.Context) -> None:
    """An option that stands before a subcommand is none of it, and would be thought to hold."""
    given = [name for name in ctx.params if (at := ctx.get_parameter_source(name)) and at.name == "COMMANDLINE"]
    if given:
        names = ", ".join(f"--{name.rstrip('_')}" for name in given)
        raise InputInvalid(
            f"{names} stands before `{ctx.invoked_subcommand}`, which does not read it. Write it behind."
        )


@app.command("check")
def check(
    max_per_ticket: Annotated[str, typer.Option(help="USD per ticket that may not be exceeded")] = "0.05",
    tickets: Annotated[int, typer.Option(min=1, help="tickets a month")] = 24_000,
    cloud: CloudOption = "all",
    profile: ProfileOption = "prod",
    scenario: ScenarioOption = None,
    plan: PlanOption = None,
) -> None:
    """Exit 1 when a ticket costs more than allowed: a guard for CI."""
    from cost.bill import estimates

    limit, chosen = _decimal(max_per_ticket, "--max-per-ticket"), _scenario(scenario)
    bills = estimates(_stacks(cloud, profile, plan), [tickets], scenario=chosen, today=_today())
    over = [bill for bill in bills if bill.monthly_usd > limit * tickets]
    for bill in bills:
        verdict = "over" if bill in over else "ok"
        each = bill.monthly_usd / tickets
        typer.echo(f"{verdict:<5}{bill.cloud} {bill.profile}: {each:.4f} USD per ticket, at most {limit} allowed")
        for line in sorted(bill.lines, key=lambda line: -line.amount_usd)[: 5 if bill in over else 0]:
            typer.echo(f"       {line.amount_usd:>10.2f} USD  {line.capability}: {line.item}")
    if over:
        raise typer.Exit(1)


@app.command("migrate")
def migrate(
    source: Annotated[str, typer.Option("--from", help="the cloud that is left")],
    target: Annotated[str, typer.Option("--to", help="the cloud that is moved to")],
    gb: Annotated[str, typer.Option(help="GB in database and object store")],
    profile: ProfileOption = "prod",
    tickets: Annotated[int, typer.Option(min=1, help="tickets a month")] = 24_000,
    weeks: Annotated[str, typer.Option(help="weeks in which both clouds run")] = "4",
    scenario: ScenarioOption = None,
    plan: PlanOption = None,
    format_: Annotated[CostFormat, typer.Option("--format", help="table, json or markdown")] = CostFormat.TABLE,
) -> None:
    """What moving costs once, whether it pays back, and the steps in order with their risk."""
    from cost.migrate import migrate as plan_move

    chosen = _scenario(scenario)
    (old,), (new,) = _stacks(source, profile, plan), _stacks(target, profile, plan)
    move = plan_move(
        old,
        new,
        _decimal(gb, "--gb"),
        tickets=tickets,
        weeks=_decimal(weeks, "--weeks"),
        scenario=chosen,
        today=_today(),
    )
    _show_move(move, format_)


@app.command("roi")
def roi(
    tickets: Annotated[int, typer.Option(min=1, help="tickets a month")] = 1_000,
    cloud: CloudOption = "all",
    profile: ProfileOption = "small",
    scenario: ScenarioOption = None,
    plan: PlanOption = None,
) -> None:
    """Agent time saved against cost, and the cost per resolution beside the published ones."""
    from cost.report.content import gather
    from cost.report.tables import published, returns

    stacks = _stacks(cloud, profile, plan)
    content = gather(stacks, [tickets], scenario=_scenario(scenario), today=_today(), typical={profile: tickets})
    for table in (returns(content), published(content)):
        typer.echo(f"\n{table.title}. {table.note}")
        print_table(table.header, table.rows)


@app.command("capacity")
def capacity(
    tickets: Annotated[str, typer.Option(help="tickets a month, comma separated")] = "",
    scenario: ScenarioOption = None,
    format_: Annotated[CostFormat, typer.Option("--format", help="table or json")] = CostFormat.TABLE,
) -> None:
    """
    How many vCPUs and TB so many tickets a month need, and where one database ends. Arithmetic from measured tickets.

    Examples:

      pointsman cost capacity

      pointsman cost capacity --tickets 50000,5000000
    """
    from cost.capacity import VOLUMES, sizes
    from cost.report.sizes import LEGEND, as_json, rows
    from cost.usage import load_assumptions

    chosen = _scenario(scenario)
    assumed = load_assumptions("aws", "prod", overrides=chosen.assumptions).all_at(chosen.level)
    found = sizes(assumed, _volumes(tickets) if tickets else VOLUMES)
    if format_ is CostFormat.JSON:
        print_json(as_json(found))
    elif format_ is CostFormat.TABLE:
        print_table(*rows(found))
        typer.echo(LEGEND)
    else:
        raise InputInvalid(f"Capacity is shown as table or json, not as {format_.value}.")


@app.command("compare")
def compare(
    scenarios: Annotated[list[Path], typer.Argument(help="scenario files; list prices and expected use are the base")],
    tickets: Annotated[int, typer.Option(min=1, help="tickets a month")] = 24_000,
    cloud: CloudOption = "all",
    profile: ProfileOption = "prod",
    plan: PlanOption = None,
) -> None:
    """Scenarios beside list prices and expected use: what each costs and which lines make the difference."""
    from cost.compare import compare as beside
    from cost.scenario import Scenario

    chosen = [Scenario(), *(_scenario(path) for path in scenarios)]
    rows = beside(_stacks(cloud, profile, plan), tickets, chosen, today=_today())
    print_table(
        ("stack", "scenario", "USD a month", "per ticket", "difference", "because of"),
        [
            (
                f"{row.cloud} {row.profile}",
                row.scenario,
                f"{row.monthly_usd:,.2f}",
                f"{row.usd_per_ticket:.4f}",
                f"{row.difference_usd:+,.2f}",
                "; ".join(f"{item} {usd:+,.2f}" for item, usd in row.moved),
            )
            for row in rows
        ],
    )


@app.command("refresh")
def refresh(
    cloud: Annotated[str, typer.Argument(help="aws, azure or gcp")],
    write: Annotated[
        bool, typer.Option("--write", help="change the price book; else only show the difference")
    ] = False,
    accept: Annotated[bool, typer.Option("--accept", help="write jumps of more than 50 % too")] = False,
) -> None:
    """
    Ask the cloud's own price interface and show what changed.

    AWS needs credentials that may call pricing:GetProducts, Google a key in POINTSMAN_COST_GCP_API_KEY, Azure nothing.
    """
    from cost.refresh import refresh_book
    from cost.refresh.settings import RefreshSettings

    result = refresh_book(cloud, settings=RefreshSettings(), today=_today(), write=write, accept=accept)
    print_table(("row", "was", "is", "change", ""), [change.as_row() for change in result.changes])
    typer.echo(f"{len(result.changes)} rows asked, {result.moved} changed, {len(result.missing)} not found.")
    for key, why in result.missing.items():
        typer.echo(f"  {key}: {why}")
    if result.refused:
        typer.echo(f"Not written: {', '.join(result.refused)} moved by more than 50 %. Look, then add --accept.")
        raise typer.Exit(1)


def _render(
    format_: CostFormat, stacks: Sequence["StackPlan"], volumes: list[int], scenario: "Scenario", out: Path | None
) -> str | None:
    """The report as text; None when it is written or printed already."""
    from cost.bill import estimates
    from cost.report import plain

    if format_ in (CostFormat.TABLE, CostFormat.JSON, CostFormat.CSV):
        bills = estimates(stacks, volumes, scenario=scenario, today=_today())
        if format_ is CostFormat.TABLE:
            return _show(bills)
        return plain.as_json(bills) if format_ is CostFormat.JSON else plain.as_csv(bills)
    return _full(format_, stacks, volumes, scenario, out)


def _full(
    format_: CostFormat, stacks: Sequence["StackPlan"], volumes: list[int], scenario: "Scenario", out: Path | None
) -> str | None:
    from cost.report.content import gather

    content = gather(stacks, volumes, scenario=scenario, today=_today())
    if format_ is CostFormat.MARKDOWN:
        from cost.report.markdown import as_markdown

        return as_markdown(content)
    if out is None and format_ is not CostFormat.HTML:
        example = "cost.xlsx" if format_ is CostFormat.XLSX else "images"
        raise InputInvalid(f"{format_.value} is not printed. Example: --out {example}")
    try:
        return _drawn(format_, content, out)
    except ModuleNotFoundError as exc:
        raise ConfigurationInvalid(f"{exc.name} is not installed. Run: pip install 'pointsman[cost]'") from exc


def _drawn(format_: CostFormat, content: "Content", out: Path | None) -> str | None:
    """What needs the packages of the cost set."""
    if format_ is CostFormat.HTML:
        from cost.report.page import as_html

        return as_html(content)
    if out is not None and format_ is CostFormat.XLSX:
        from cost.report.sheet import write_xlsx

        write_xlsx(content, out)
    elif out is not None:
        from cost.report.charts import save_all

        save_all(content, out)
    return None


def _show(bills: Sequence["Estimate"]) -> None:
    """The overview, then every stack's bill at the first volume."""
    from cost.report.plain import line_rows, per_ticket, summary_rows

    typer.echo("USD a month (USD per ticket); * more tickets than the profile is made for")
    print_table(*summary_rows(bills))
    first = min(bill.tickets_per_month for bill in bills)
    for bill in (bill for bill in bills if bill.tickets_per_month == first):
        typer.echo(
            f"\n{bill.cloud} {bill.profile}, {first:,} tickets: {bill.monthly_usd:,.2f} USD a month, "
            f"{per_ticket(bill)} per ticket, {bill.fixed_usd:,.2f} of it fixed"
        )
        print_table(*line_rows(bill))
        for note in (*bill.notes, *(f"not in the total: {gap}" for gap in bill.gaps)):
            typer.echo(f"  {note}")


def _show_move(move: "Migration", format_: CostFormat) -> None:
    from cost.report.moves import as_json, as_markdown, cost_rows, facts, step_rows

    if format_ is CostFormat.JSON:
        print_json(as_json(move))
    elif format_ is CostFormat.MARKDOWN:
        typer.echo(as_markdown(move))
    elif format_ is CostFormat.TABLE:
        for fact in facts(move):
            typer.echo(fact)
        print_table(*cost_rows(move))
        typer.echo("")
        print_table(*step_rows(move))
    else:
        raise InputInvalid(f"A move is shown as table, json or markdown, not as {format_.value}.")


def _write(text: str | None, out: Path | None) -> None:
    if text is None:
        return
    if out is None:
        typer.echo(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    typer.echo(f"Written: {out}", err=True)


def _stacks(cloud: str, profile: str, plan: Path | None) -> list["StackPlan"]:
    from cost.stacks import load_stacks

    stacks = load_stacks(cloud, profile, saved=plan)
    gc.freeze()  # see plan.py: the exit is faster by seconds
    return stacks


def _with_own_model(chosen: "Scenario", llm: Path | None) -> "Scenario":
    """One GPU machine for each replica."""
    if llm is None:
        return chosen
    from k8s.workloads.llm import read_self_hosted

    replicas = read_self_hosted(read_llm_text(llm)).replicas
    return chosen.model_copy(update={"own_models": replicas})


def _scenario(path: Path | None) -> "Scenario":
    from cost.scenario import Scenario, load_scenario

    return load_scenario(path) if path else Scenario()


def _volumes(text: str) -> list[int]:
    parts = [part.strip().replace("_", "") for part in text.split(",") if part.strip()]
    if not parts or not all(re.fullmatch(r"[1-9]\d{0,11}", part) for part in parts):
        raise InputInvalid(
            f"--tickets {text!r} is no list of whole numbers from 1 to 999999999999, written without a comma inside. "
            "Example: --tickets 1000,24000"
        )
    if any(len(part) == 3 and len(before) < 3 for before, part in pairwise(parts)):
        raise InputInvalid(f"--tickets {text!r}: is a comma one of thousands? Write 1500, or larger numbers first.")
    return [int(part) for part in parts]


def _decimal(text: str, option: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as exc:
        raise InputInvalid(f"{option} {text!r} is no number. Example: {option} 0.5") from exc
    if not value.is_finite():
        raise InputInvalid(f"{option} {text!r} is no number. Example: {option} 0.5")
    return value


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
