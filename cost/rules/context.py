"""What a rule may look at besides its resource: the rest of the stack, the demand, the prices."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from cost.book import ZERO, PriceBook
from cost.meter import HOURS_PER_MONTH, Meter, fixed, per_use
from cost.usage import Assumptions, Demand
from infra.offline.report import Resource, StackPlan


@dataclass(frozen=True)
class Context:
    stack: StackPlan
    demand: Demand
    assumptions: Assumptions
    book: PriceBook
    is_committed: bool = False
    own_models: int = 0

    def of_type(self, type_: str) -> list[Resource]:
        return [r for r in self.stack.resources if r.type == type_]

    def first(self, type_: str) -> Resource | None:
        return next(iter(self.of_type(type_)), None)

    @property
    def models(self) -> tuple[str, ...]:
        """Names from the contract: the first does triage, the last answers chats; empty: the embedded model does."""
        return tuple(d["model"] for d in self.stack.contract.get("models", {}).get("deployments", ()))

    @cached_property
    def always_on(self) -> tuple[str, int]:
        """Machine and number of the pool that is always there, as `pointsman plan` has it: from what pods ask for."""
        from infra.offline.room import Room, always_on

        return always_on(self.stack, Room(0, int(self.assumptions["other_pods_mib"])))

    def kept(self, machine: str, planned: int) -> int:
        """How many of a pool stand when no ticket comes. A stack on paper promises no cluster: what it plans."""
        if "kind" not in self.stack.contract.get("cluster", {}):
            return planned
        size, count = self.always_on
        return count if size == machine else planned


Rule = Callable[[Resource, Context], Iterable[Meter]]


def role(resource: Resource) -> str:
    """The last word of a resource's name: `pointsman-small-lake` -> `lake`."""
    return resource.name.rpartition("-")[2]


def get(resource: Resource, *path: str, default: Any = None) -> Any:
    """An input, however deep; a path through nothing gives the default."""
    value: Any = resource.inputs
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return default if value is None else value


def machine(
    ctx: Context, size: str, count: Decimal | int, *, spot: bool, hours: Decimal = HOURS_PER_MONTH, what: str = "node"
) -> list[Meter]:
    """A machine that is always on. Where no spot price is known, the on-demand price is taken and the item says so."""
    if spot and f"vm.{size}.spot" in ctx.book:
        return [fixed(f"vm.{size}.spot", f"{what} {size}, spot", count * hours)]
    price = f"vm.{size}.full_month"
    if ctx.is_committed or price not in ctx.book:
        price = f"vm.{size}.on_demand"
    item = f"{what} {size}, no spot price known" if spot else f"{what} {size}"
    return [fixed(price, item, count * hours, committable=not spot)]


def pool(ctx: Context, size: str, *, spot: bool, vcpus: int) -> list[Meter]:
    """Workers that leave when the queue is empty: hours awake, or more nodes when one is not enough."""
    hours = max(ctx.demand.worker_awake_h, ctx.demand.worker_cpu_h / vcpus)
    return [per_use(_hourly(ctx, size, spot=spot), f"workers {size}{_kind(spot)}, scaled from zero", hours)]


def gpus(ctx: Context, size: str, *, spot: bool) -> list[Meter]:
    """
    The weekly fine-tuning: starting a node is due anyway, learning grows with the tickets. A model of one's own waits
    for tickets all month, on machines of the same pool.
    """
    price, item = _hourly(ctx, size, spot=spot), f"training {size}{_kind(spot)}"
    return [
        *machine(ctx, size, ctx.own_models, spot=spot, what="own model on"),
        fixed(price, f"{item}, starting", ctx.demand.idle_training_h),
        per_use(price, f"{item}, learning", ctx.demand.training_h),
    ]


def tokens(ctx: Context, model: str) -> list[Meter]:
    """Tokens of the tasks that a model is chosen for; triage asks a model of one's own instead, where there is one."""
    asked, found, name = ctx.demand, [], priced_name(model)
    triages = model == ctx.models[0] and not ctx.own_models
    for is_used, task, count_in, count_out in (
        (triages, "triage", asked.triage_input_tokens, asked.triage_output_tokens),
        (model == ctx.models[-1], "chat", asked.chat_input_tokens, asked.chat_output_tokens),
    ):
        if is_used:
            found.append(per_use(f"llm.{name}.input", f"{name}, {task}, tokens read", count_in))
            found.append(per_use(f"llm.{name}.output", f"{name}, {task}, tokens written", count_out))
    return found


def priced_name(model: str) -> str:
    """`us.amazon.nova-micro-v1:0` -> `nova-micro`; `gpt-5-nano@2025-08-07` -> `gpt-5-nano`."""
    return model.partition("@")[0].partition("-v1:")[0].rpartition("amazon.")[2]


def above(needed: Decimal, included: Decimal | int) -> Decimal:
    return max(needed - included, ZERO)


def _hourly(ctx: Context, size: str, *, spot: bool) -> str:
    return f"vm.{size}.spot" if spot and f"vm.{size}.spot" in ctx.book else f"vm.{size}.on_demand"


def _kind(spot: bool) -> str:
    return ", spot" if spot else ""
