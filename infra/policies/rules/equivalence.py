"""EQ: three clouds, one platform."""

from collections.abc import Iterator

from pydantic import ValidationError

from infra.blueprint import CAPABILITIES
from infra.contract import Contract
from infra.policies.rules.base import COMPUTED, Breach, Stack, absent, dig, rule


@rule("EQ-001", "every cloud builds the same capabilities")
def same_capabilities(stack: Stack) -> Iterator[Breach]:
    there = {r.capability for r in stack.resources}
    for name in sorted(set(CAPABILITIES) - there - _may_be_empty(stack)):
        yield absent(stack, f"Capability {name} builds nothing here")
    for name in sorted(there - set(CAPABILITIES)):
        yield absent(stack, f"Resources outside every capability: {name or 'at the top level'}")


def _may_be_empty(stack: Stack) -> set[str]:
    """What a stack may go without: `small` a second backup; anyone a registry, a network, CI or an LLM of their own."""
    empty = {"backup"} if stack.profile == "small" else set()
    if not stack.has_own_network:
        empty |= {"network"}
    if not stack.has_llm:
        empty |= {"models"}
    if not dig(stack.contract, "ci.principal"):
        empty |= {"ci"}
    if stack.profile == "small":
        empty |= {"edge"}  # without a domain the node's own name is the way in
    if not _own_registry(stack):
        empty |= {"registry"}
    return empty


def _own_registry(stack: Stack) -> bool:
    host = str(dig(stack.contract, "registry.url")).split("/")[0]
    return host.endswith((".amazonaws.com", ".azurecr.io", ".pkg.dev"))


@rule("EQ-002", "the contract is valid")
def valid_contract(stack: Stack) -> Iterator[Breach]:
    if not stack.contract:
        return  # CrossGuard may ask before the stack exports; the offline plan reports it as a problem
    try:
        Contract.model_validate(stack.contract)
    except ValidationError as exc:
        for error in (e for e in exc.errors() if e["input"] != COMPUTED):  # a first preview knows no address
            yield absent(stack, f"contract.{'.'.join(map(str, error['loc']))}: {error['msg']}")
