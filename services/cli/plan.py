"""`pointsman plan`: the three cloud programs side by side, without a cloud."""

import gc
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from services.core.kit.errors import ConfigurationInvalid, PointsmanError

if TYPE_CHECKING:
    from infra.offline.report import Report, StackPlan


class PlanFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def plan(
    cloud: Annotated[str, typer.Argument(help="aws, azure, gcp or all")] = "all",
    profile: Annotated[str, typer.Option(help="dev, small or prod: Pulumi.PROFILE.yaml")] = "dev",
    tickets: Annotated[
        int | None, typer.Option(help="tickets a month, for the price (what the profile is meant for)", min=0)
    ] = None,
    format_: Annotated[PlanFormat, typer.Option("--format", help="table, json or markdown")] = PlanFormat.TABLE,
) -> None:
    """
    Plan stacks offline: resources, posture, policies, contract, parity, price; then the two layers above, platform and
    workloads, and what their pods ask of the machines. Exit 1 on any problem.
    """
    # Pulumi and its SDKs are heavy, and only this command needs them.
    try:
        from cost.report.content import TYPICAL
        from infra.offline.layers import with_layers
        from infra.offline.plan import CLOUDS, plan_stacks
        from infra.offline.render import RENDERERS
    except ModuleNotFoundError as exc:
        raise ConfigurationInvalid(f"{exc.name} is not installed. Run: pip install 'pointsman[infra]'") from exc
    clouds = CLOUDS if cloud == "all" else (cloud,)
    with _garbage_forgotten():
        report = with_layers(_with_prices_missing(plan_stacks(clouds, profile)))
    volume = TYPICAL.get(profile, 1_000) if tickets is None else tickets
    prices = {} if format_ is PlanFormat.JSON else {s.cloud: _priced(s, volume) for s in report.stacks}
    typer.echo(RENDERERS[format_.value](report, prices))
    if not report.is_clean:
        raise typer.Exit(1)


@contextmanager
def _garbage_forgotten() -> Generator[None]:
    """
    The SDKs' millions of objects are never looked through: switched on again before they are frozen, the collector
    takes 1.3 s of CPU at once, and 3.4 s on the way out.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def _with_prices_missing(report: "Report") -> "Report":
    """A type that nobody can price is a problem of the plan: its bill would be a surprise."""
    from cost.rules import unpriced

    stacks = [s.model_copy(update={"problems": (*s.problems, *unpriced(s))}) for s in report.stacks]
    return report.model_copy(update={"stacks": tuple(stacks)})


def _priced(stack: "StackPlan", tickets: int) -> dict[str, str]:
    """USD a month by capability; what cannot be priced is a reason in the place of the total, never a zero."""
    from cost.bill import estimate

    try:
        found = estimate(stack, tickets, today=datetime.now(UTC).date())
    except PointsmanError as exc:
        return {"total": exc.message}
    by_capability = {name: f"{usd:.2f}" for name, usd in found.by_capability().items() if usd}
    gaps = f", and {len(found.gaps)} without a price: pointsman cost" if found.gaps else ""
    return {**by_capability, "total": f"{found.monthly_usd:.2f} at {tickets:,} tickets{gaps}"}
