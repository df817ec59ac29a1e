"""The pages of strategy/ show what the real stacks cost: their tables are written from them by `make golden`."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from cost.bill import DEFAULT_VOLUMES
from cost.capacity import VOLUMES, sizes
from cost.migrate import migrate
from cost.report.content import Content, gather
from cost.report.markdown import table_of
from cost.report.moves import step_rows
from cost.report.sizes import rows
from cost.report.tables import CLOUDS, Table, from_now, gaps, levers, per_ticket, promise, published, returns, summary
from cost.scenario import Scenario
from cost.usage import load_assumptions
from tests.cost.conftest import TODAY
from tests.golden import check_golden, filled
from tests.planned import Plans

STRATEGY = Path(__file__).parents[2] / "strategy"


@pytest.fixture(scope="module")
def content(plans: Plans) -> Content:
    stacks = [plans[cloud, profile] for profile in ("small", "dev", "prod") for cloud in CLOUDS]
    return gather(stacks, DEFAULT_VOLUMES, scenario=Scenario(), today=TODAY)


def of(table: Table, rows: Sequence[Sequence[str]] | None = None) -> str:
    return table_of(table.header, table.rows if rows is None else rows)


def test_golden_page_of_costs(content: Content):
    prod = [row for row in levers(content).rows if row[0].endswith("prod")]
    blocks = {
        "volume": of(summary(content)),
        "promise": of(promise(content)),
        "levers": of(levers(content), prod),
        "roi": of(returns(content), [row for row in returns(content).rows if not row[0].endswith("dev")]),
        "published": of(published(content)),
        "gaps": of(gaps(content)),
    }
    check_golden(STRATEGY / "cost.md", filled(STRATEGY / "cost.md", blocks))


def test_golden_page_of_capacity():
    """From the assumptions of the bill, so that a measured ticket changes both."""
    page = STRATEGY.parent / "design" / "capacity.md"
    assumed = load_assumptions("aws", "prod")
    quarter = load_assumptions("aws", "prod", overrides={"retained_months": Decimal(3)})
    blocks = {"capacity": table_of(*rows(sizes(assumed))), "quarter": table_of(*rows(sizes(quarter, VOLUMES[-3:])))}
    check_golden(page, filled(page, blocks))


def test_golden_table_of_the_readme(content: Content):
    """What a ticket costs is on the first page: it follows the stacks and the price books by itself."""
    readme = STRATEGY.parent / "README.md"
    check_golden(readme, filled(readme, {"per_ticket": of(per_ticket(content))}))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_golden_table_of_a_clouds_guide(cloud: str, content: Content):
    """Whoever follows it knows before what the meter will say."""
    guide = STRATEGY.parent / f"design/guides/deploy-{cloud}.md"
    check_golden(guide, filled(guide, {f"from_now_{cloud}": of(from_now(content, cloud))}))


def test_golden_page_of_moves(plans: Plans):
    def cell(source: str, target: str) -> str:
        if source == target:
            return "-"
        stacks = plans[source, "prod"], plans[target, "prod"]
        move = migrate(*stacks, Decimal(500), tickets=24_000, weeks=Decimal(4), scenario=Scenario(), today=TODAY)
        months = move.months_to_pay_back
        back = "never by price" if months is None else f"back in {months:.1f} months"
        return f"{move.once_usd + move.labour_usd:,.0f} USD, {back}"

    rows = [[CLOUDS[source], *(cell(source, target) for target in CLOUDS)] for source in CLOUDS]
    move = migrate(
        plans["aws", "prod"],
        plans["gcp", "prod"],
        Decimal(1),
        tickets=1,
        weeks=Decimal(1),
        scenario=Scenario(),
        today=TODAY,
    )
    blocks = {"matrix": table_of(["from, to", *CLOUDS.values()], rows), "steps": table_of(*step_rows(move))}
    check_golden(STRATEGY / "migration-planning.md", filled(STRATEGY / "migration-planning.md", blocks))


def test_what_the_page_says_of_small_without_spot_is_so(plans: Plans):
    """t4g.medium 0.0336, e2-medium 0.03350571, B2als_v2 0.0376 USD an hour, 730 hours, instead of the spot machine."""
    from cost.bill import estimate
    from cost.book import load_book

    page = (STRATEGY / "cost.md").read_text(encoding="utf-8")
    for cloud, size in (("aws", "t4g.medium"), ("gcp", "e2-medium"), ("azure", "B2als_v2")):
        bill = estimate(plans[cloud, "small"], 1_000, today=TODAY)
        spot = sum(line.amount_usd for line in bill.lines if line.item.endswith(", spot"))
        month = bill.monthly_usd - spot + 730 * load_book(cloud)[f"vm.{size}.on_demand"].usd
        assert f"{month:.2f}" in page, f"{cloud}: {month:.2f}"
