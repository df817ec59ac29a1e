"""What a rule says of a resource: how much of which price row it uses in a month."""

from dataclasses import dataclass
from decimal import Decimal

HOURS_PER_MONTH = Decimal(730)
DAYS_PER_MONTH = HOURS_PER_MONTH / 24


@dataclass(frozen=True)
class Meter:
    """
    A quantity of one price row.

    Args:
        quantity: per month, in natural numbers (requests are requests, bytes GB); the price divides by its `per`.
        fixed: due even when no ticket comes.
        committable: a machine that runs on demand all month, which a commitment would make cheaper.
        capability: when it is not the resource's own, such as tokens that are billed by switching a service on.
    """

    price: str
    item: str
    quantity: Decimal
    fixed: bool = True
    committable: bool = False
    capability: str = ""


def fixed(price: str, item: str, quantity: Decimal | int, *, committable: bool = False) -> Meter:
    return Meter(price, item, Decimal(quantity), committable=committable)


def per_use(price: str, item: str, quantity: Decimal) -> Meter:
    return Meter(price, item, quantity, fixed=False)
