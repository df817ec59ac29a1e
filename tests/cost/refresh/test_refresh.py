"""Refreshing a price book: asked with the recorded shapes, compared, written, refused."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import boto3
import pytest
import yaml
from botocore.stub import Stubber

from cost.book import CLOUDS, PRICES, load_book
from cost.refresh import refresh_book
from cost.refresh.aws import AwsPrices
from cost.refresh.azure import AzurePrices
from cost.refresh.gcp import GcpPrices
from cost.refresh.queries import Query, queries
from cost.refresh.quote import Rate, tiers
from services.core.kit.errors import ConfigurationInvalid, Unavailable
from tests.cost.conftest import TODAY
from tests.cost.refresh.interface import recorded, serving

NEXT_DAY = TODAY + dt.timedelta(days=1)
BOOK = """# Prices of a test
cloud: {cloud}
region: {region}
currency: USD
sources:
  old: {{url: "https://example.com", as_of: 2026-01-01}}
prices:
  {key}: {{price: "{price}", unit: {unit}, per: {per}, source: old, secondary: true, note: "kept"}}
  other.row: {{price: "7", unit: month, source: old}}  # a comment that stays
"""


def book_at(folder: Path, cloud: str, region: str, key: str, price: str, *, unit: str = "hour", per: int = 1) -> Path:
    path = folder / f"{cloud}.yaml"
    path.write_text(BOOK.format(cloud=cloud, region=region, key=key, price=price, unit=unit, per=per), encoding="utf-8")
    load_book.cache_clear()
    return path


def aws_clients(*pages, spot=None):
    """Clients whose answers are set; no request leaves."""
    secret = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    pricing = boto3.client("pricing", region_name="us-east-1", **secret)
    ec2 = boto3.client("ec2", region_name="us-east-1", **secret)
    stub, spot_stub = Stubber(pricing), Stubber(ec2)
    for page, expected in pages:
        stub.add_response("get_products", page, expected)
    if spot is not None:
        spot_stub.add_response("describe_spot_price_history", {"SpotPriceHistory": spot})
    stub.activate()
    spot_stub.activate()
    return AwsPrices(pricing, ec2, today=TODAY), stub


def m7g_filters():
    (query,) = queries("aws", ["vm.m7g.large.on_demand"], "us-east-1")
    return [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in query.ask["filters"].items()]


def test_aws_reads_every_page_of_the_price_list(tmp_path):
    first = recorded("aws_get_products_m7g_large.json")
    asked = {"ServiceCode": "AmazonEC2", "FormatVersion": "aws_v1", "MaxResults": 100, "Filters": m7g_filters()}
    last = {"FormatVersion": "aws_v1", "PriceList": []}
    prices, stub = aws_clients((first, asked), (last, {**asked, "NextToken": first["NextToken"]}))
    book_at(tmp_path, "aws", "us-east-1", "vm.m7g.large.on_demand", "0.08")
    result = refresh_book("aws", today=TODAY, prices=prices, folder=tmp_path)
    stub.assert_no_pending_responses()
    (change,) = result.changes
    assert (change.now[0].usd, round(change.share, 4)) == (Decimal("0.0816"), Decimal("0.02"))
    assert not result.written


def test_aws_spot_is_the_median_of_the_newest_price_of_each_zone():
    rows = [("a", "0.0409", 1), ("b", "0.0311", 1), ("c", "0.9", 1), ("c", "0.0267", 2)]
    spot = [
        {"AvailabilityZone": zone, "SpotPrice": usd, "Timestamp": dt.datetime(2026, 11, day, tzinfo=dt.UTC)}
        for zone, usd, day in rows
    ]
    prices, _ = aws_clients(spot=spot)
    assert prices.rates(Query("vm.m7g.large.spot", {"spot": "m7g.large"})) == [Rate(Decimal(0), Decimal("0.0311"))]


def test_aws_says_which_permission_is_missing():
    prices, stub = aws_clients()
    stub.add_client_error("get_products", "AccessDeniedException")
    with pytest.raises(ConfigurationInvalid, match=r"AccessDeniedException.*pricing:GetProducts"):
        prices.rates(Query("x", {"service": "AmazonEC2", "filters": {}}))


def azure_pages(query, url):
    """The first page links to a second one on this very server; the fixture's own link is the vendor's."""
    if "$skip" in query:
        return 200, {"Items": [], "NextPageLink": None}
    return 200, {**recorded("azure_retail_prices_page1.json"), "NextPageLink": f"{url}?$skip=1000"}


def test_azure_takes_the_linux_price_and_leaves_windows_spot_and_reservations(tmp_path):
    with serving(azure_pages) as interface:
        path = book_at(tmp_path, "azure", "eastus2", "vm.D4s_v5.on_demand", "0.2")
        prices = AzurePrices(interface.url, timeout_s=5)
        result = refresh_book("azure", today=NEXT_DAY, prices=prices, folder=tmp_path, write=True)
    assert [change.now[0].usd for change in result.changes] == [Decimal("0.192")]
    assert "armSkuName eq 'Standard_D4s_v5'" in interface.asked[0]["$filter"]
    assert interface.asked[1]["$skip"] == "1000"
    row = yaml.safe_load(path.read_text(encoding="utf-8"))["prices"]["vm.D4s_v5.on_demand"]
    assert row == {
        "price": "0.192",
        "unit": "hour",
        "per": 1,
        "note": "kept",
        "source": "azure-retail-prices",
        "as_of": NEXT_DAY,
    }


def test_azure_spot_is_the_spot_meter():
    with serving(azure_pages) as interface:
        ask = {"filter": "x", "spot": True}
        rates = AzurePrices(interface.url, timeout_s=5).rates(Query("vm.D4s_v5.spot", ask))
    assert rates == [Rate(Decimal(0), Decimal("0.061171"))]


def test_azure_allowance_and_tiers_come_through():
    with serving(lambda *_: (200, recorded("azure_retail_prices_tiered.json"))) as interface:
        rates = AzurePrices(interface.url, timeout_s=5).rates(Query("logs", {"filter": "x"}))
    free, paid = tiers(rates, Decimal(1))
    assert (free.usd, free.free, paid.start, paid.usd) == (0, True, 5, Decimal("2.3"))


def test_azure_never_follows_a_page_to_another_host():
    page = {"Items": [], "NextPageLink": "https://evil.example/next"}
    with (
        serving(lambda *_: (200, page)) as interface,
        pytest.raises(Unavailable, match=r"another host: https://evil\.example"),
    ):
        AzurePrices(interface.url, timeout_s=5).rates(Query("x", {"filter": "y"}))


@pytest.mark.parametrize(("status", "body"), [(500, {}), (200, {"unknown": []}), (429, {"Items": []})])
def test_azure_trouble_is_said_to_be_trouble(status, body):
    with serving(lambda *_: (status, body)) as interface, pytest.raises(Unavailable, match="Try again later"):
        AzurePrices(interface.url, timeout_s=5).rates(Query("x", {"filter": "y"}))


def gcp_pages(query, url):
    page = recorded("gcp_skus_page1.json")
    if "pageToken" in query:
        core, ram = (
            {
                **page["skus"][1],
                "description": f"N2D AMD Instance {part} running in Americas",
                "pricingInfo": [
                    {
                        "pricingExpression": {
                            "tieredRates": [{"startUsageAmount": 0, "unitPrice": {"units": "0", "nanos": nanos}}]
                        }
                    }
                ],
            }
            for part, nanos in (("Core", 27_502_000), ("Ram", 3_686_000))
        )
        return 200, {"skus": [core, ram]}
    return 200, page


def test_google_adds_cores_and_memory_and_reads_a_service_once(tmp_path):
    with serving(gcp_pages) as interface:
        prices = GcpPrices(interface.url, "key", region="us-central1", timeout_s=5)
        book_at(tmp_path, "gcp", "us-central1", "vm.n2d-standard-4.on_demand", "0.16")
        result = refresh_book("gcp", today=TODAY, prices=prices, folder=tmp_path)
        again = prices.rates(*queries("gcp", ["network.egress_internet_premium"], "us-central1"))
    assert result.changes[0].now[0].usd == 4 * Decimal("0.027502") + 16 * Decimal("0.003686")
    assert [(rate.start, rate.usd) for rate in again] == [
        (0, Decimal("0.12")),
        (1024, Decimal("0.11")),
        (10240, Decimal("0.08")),
    ]
    assert len(interface.asked) == 2
    assert "key" not in interface.asked[0]
    assert interface.headers[0]["x-goog-api-key"] == "key"


def test_google_refusing_the_key_names_the_variable():
    with (
        serving(lambda *_: (403, {})) as interface,
        pytest.raises(ConfigurationInvalid, match="POINTSMAN_COST_GCP_API_KEY"),
    ):
        GcpPrices(interface.url, "bad", region="r", timeout_s=5).rates(
            Query("x", {"service": "s", "parts": [{"description": "d", "usage": "OnDemand", "each": 1}]})
        )


def test_without_a_key_google_is_not_asked(tmp_path):
    book_at(tmp_path, "gcp", "us-central1", "block.pd_ssd", "0.17")
    with pytest.raises(ConfigurationInvalid, match="POINTSMAN_COST_GCP_API_KEY"):
        refresh_book("gcp", today=TODAY, folder=tmp_path)


class Says:
    """An interface that always answers the same: what matters is what is done with it."""

    source, url = "test-source", "https://example.com/api"

    def __init__(self, *rates: Rate) -> None:
        self.answer = rates

    def rates(self, query: Query):
        return self.answer


@pytest.mark.parametrize("usd", ["0.0151", "0.0049", "0"])
def test_a_jump_of_more_than_half_is_not_written_without_accept(tmp_path, usd):
    path = book_at(tmp_path, "azure", "eastus", "network.nat_data", "0.01", unit="GB")
    before = path.read_text(encoding="utf-8")
    says = Says(Rate(Decimal(0), Decimal(usd)))
    refused = refresh_book("azure", today=TODAY, prices=says, folder=tmp_path, write=True)
    assert (refused.refused, refused.written, path.read_text(encoding="utf-8")) == (
        ("network.nat_data",),
        False,
        before,
    )
    assert refresh_book("azure", today=TODAY, prices=says, folder=tmp_path, write=True, accept=True).written
    assert load_book("azure", tmp_path)["network.nat_data"].usd == Decimal(usd)


def test_a_change_of_exactly_half_is_written_and_the_rest_of_the_file_stays(tmp_path):
    path = book_at(tmp_path, "azure", "eastus", "network.nat_data", "0.01", unit="GB")
    says = Says(Rate(Decimal(0), Decimal("0.015")))
    assert refresh_book("azure", today=NEXT_DAY, prices=says, folder=tmp_path, write=True).written
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Prices of a test"
    assert lines[-1].endswith("# a comment that stays")
    price = load_book("azure", tmp_path)["network.nat_data"]
    assert (price.usd, price.source, price.as_of, price.secondary) == (Decimal("0.015"), "test-source", NEXT_DAY, False)


def test_refreshing_twice_changes_nothing_more(tmp_path):
    path = book_at(tmp_path, "azure", "eastus", "network.nat_data", "0.01", unit="GB")
    says = Says(Rate(Decimal(0), Decimal(0)), Rate(Decimal(5), Decimal("0.011")))
    refresh_book("azure", today=TODAY, prices=says, folder=tmp_path, write=True)
    once = path.read_text(encoding="utf-8")
    again = refresh_book("azure", today=TODAY, prices=says, folder=tmp_path, write=True)
    assert (path.read_text(encoding="utf-8"), again.moved) == (once, 0)
    assert load_book("azure", tmp_path)["network.nat_data"].tiers[0].free


def test_nothing_found_and_too_much_found_are_told_apart(tmp_path):
    book_at(tmp_path, "azure", "eastus", "network.nat_data", "0.01", unit="GB")
    none = refresh_book("azure", today=TODAY, prices=Says(), folder=tmp_path)
    two = refresh_book(
        "azure", today=TODAY, prices=Says(Rate(Decimal(0), Decimal(1)), Rate(Decimal(0), Decimal(2))), folder=tmp_path
    )
    assert "no price fits" in none.missing["network.nat_data"]
    assert "2 prices fit" in two.missing["network.nat_data"]


def test_rates_become_the_units_of_the_book():
    (tier,) = tiers([Rate(Decimal(0), Decimal("0.0000004"))], Decimal(1_000_000))
    assert tier.usd == Decimal("0.4")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_questions_exist_for_the_machines_and_only_for_rows_of_the_book(cloud):
    book = load_book(cloud, PRICES)
    asked = {query.key for query in queries(cloud, list(book.prices), book.region)}
    assert {key for key in book.prices if key.startswith("vm.") and key.endswith("on_demand")} - asked <= {
        "vm.e2-medium.on_demand",
        "vm.g2-standard-4.on_demand",
    }
    assert len(asked) >= 10


def test_a_question_is_asked_for_the_region_of_the_book():
    (query,) = queries("aws", ["kms.key"], "eu-west-1")
    assert query.ask["filters"] == {"regionCode": "eu-west-1", "usagetype": "eu-west-1-KMS-Keys"}
