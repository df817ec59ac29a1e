"""What a call costs in USD, from the dated list beside this file and what the configuration adds."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path

import yaml

from services.core.llm.config import ModelPrice

PRICES_FILE = Path(__file__).with_name("prices.yaml")
TOKENS_PER_MTOK = Decimal(1_000_000)


@cache
def read_prices(path: Path = PRICES_FILE) -> Mapping[str, ModelPrice]:
    """List price by configured model name; every row names a source of the file's `sources`."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        model: ModelPrice(usd_per_mtok_in=row["in"], usd_per_mtok_out=row["out"])
        for model, row in data["prices"].items()
        if row["source"] in data["sources"]
    }


def price_of(model: str, configured: Mapping[str, ModelPrice]) -> ModelPrice | None:
    """The configured price, else the listed one, else None: an unknown price is never guessed."""
    return configured.get(model) or read_prices().get(model)


def cost_usd(price: ModelPrice | None, *, input_tokens: int, output_tokens: int) -> Decimal | None:
    """Exact; None when no price is known."""
    if price is None:
        return None
    return (price.usd_per_mtok_in * input_tokens + price.usd_per_mtok_out * output_tokens) / TOKENS_PER_MTOK
