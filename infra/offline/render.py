"""A report as text: a table for people, Markdown for a pull request, JSON for programs."""

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from infra.offline.posture import posture
from infra.offline.report import LayerPlan, Nodes, Parity, Report, StackPlan

_MISSING = "missing"


Prices = Mapping[str, Mapping[str, str]]  # cloud -> capability -> USD a month, as text


def as_json(report: Report, prices: Prices) -> str:
    """The plan alone: the cost model reads it, so it cannot hold what that model says."""
    return report.model_dump_json(indent=2)


def as_table(report: Report, prices: Prices) -> str:
    return _report(report, prices, _columns)


def as_markdown(report: Report, prices: Prices) -> str:
    return _report(report, prices, _pipes)


RENDERERS: dict[str, Callable[[Report, Prices], str]] = {"json": as_json, "table": as_table, "markdown": as_markdown}
Layout = Callable[[Sequence[str], Sequence[Sequence[str]]], str]


def _report(report: Report, prices: Prices, layout: Layout) -> str:
    clouds = [s.cloud for s in report.stacks]
    parts = [
        _heading(report),
        layout(["capability", *clouds], [_parity_row(row, report.stacks) for row in report.parity]),
        layout(["USD a month", *clouds], _price_rows(report, prices)) if prices else "",
        layout(["posture", *clouds], _posture_rows(report.stacks)),
        layout(["contract", *clouds], _contract_rows(report.stacks)),
        *(layout([f"layer {name}", *clouds], _layer_rows(report, name)) for name in _layers(report)),
        layout(["requests, MiB", *clouds], _room_rows(report)) if report.nodes else "",
        "Both layers run on these machines and are no line of the bill." if report.nodes else "",
        *(_trouble(part) for part in (*report.stacks, *report.layers)),
        "The plan sees what the programs register. It cannot see a provider's own checks, quotas, names that are taken,"
        " whether a grant suffices, or what a region offers: pointsman preflight asks the cloud.",
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(report: Report) -> str:
    return "\n".join(
        f"{s.cloud} {s.profile}: {len(s.resources)} resources, {len(s.problems)} problems, {len(s.findings)} findings,"
        f" planned twice in {s.seconds:.1f} s"
        for s in report.stacks
    )


def _parity_row(row: Parity, stacks: Sequence[StackPlan]) -> list[str]:
    return [row.capability, *(_cell(row, stack) for stack in stacks)]


def _cell(row: Parity, stack: StackPlan) -> str:
    if getattr(row, stack.cloud) < 0:
        return _MISSING
    kinds = Counter(r.type.split(":")[-1] for r in stack.resources if r.capability == row.capability)
    return ", ".join(f"{kind} x{n}" if n > 1 else kind for kind, n in sorted(kinds.items())) or "nothing"


def _price_rows(report: Report, prices: Prices) -> list[list[str]]:
    names = [*(row.capability for row in report.parity), "total"]
    rows = [[name, *(prices.get(s.cloud, {}).get(name, "") for s in report.stacks)] for name in names]
    return [row for row in rows if any(row[1:])]


def _posture_rows(stacks: Sequence[StackPlan]) -> list[list[str]]:
    answers = [posture(stack) for stack in stacks]
    return [[question, *(a[question] for a in answers)] for question in (answers[0] if answers else {})]


def _contract_rows(stacks: Sequence[StackPlan]) -> list[list[str]]:
    flat = [_flat(stack.contract) for stack in stacks]
    keys = sorted({key for one in flat for key in one})
    return [[key, *(one.get(key, _MISSING) for one in flat)] for key in keys]


def _flat(value: object, path: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {path: str(value)}
    return {k: v for key, item in value.items() for k, v in _flat(item, f"{path}.{key}".lstrip(".")).items()}


def _layers(report: Report) -> list[str]:
    return list(dict.fromkeys(layer.layer for layer in report.layers))


def _layer_rows(report: Report, name: str) -> list[list[str]]:
    """How many of each kind; charts and files by name, because that is what they are."""
    by_cloud = {layer.cloud: layer for layer in report.layers if layer.layer == name}
    kinds = sorted({one.kind for layer in by_cloud.values() for one in layer.objects})
    return [[kind, *(_layer_cell(by_cloud.get(s.cloud), kind) for s in report.stacks)] for kind in kinds]


def _layer_cell(layer: LayerPlan | None, kind: str) -> str:
    if layer is None:
        return _MISSING
    names = list(dict.fromkeys(one.name for one in layer.objects if one.kind == kind))
    return ", ".join(names) if len(names) < 4 or kind in ("Chart", "File") else str(len(names))


def _room_rows(report: Report) -> list[list[str]]:
    by_cloud = {one.cloud: one for one in report.nodes}
    found = [by_cloud.get(s.cloud) for s in report.stacks]
    names = dict.fromkeys(name for one in report.nodes for name in one.rows)
    rows = [[name, *(str(one.rows.get(name, "")) if one else _MISSING for one in found)] for name in names]
    return [*rows, *([name, *(ask(one) if one else _MISSING for one in found)] for name, ask in _ROOM.items())]


_ROOM: dict[str, Callable[[Nodes], str]] = {
    "together": lambda one: f"{one.asked_mib} ({one.asked_cpu_m / 1000:.1f} cores)",
    "machines": lambda one: f"{one.count} x {one.machine}, {'planned' if one.is_planned else 'as the requests need'}",
    "for pods": lambda one: f"{one.have_mib} ({one.have_cpu_m / 1000:.1f} cores)",
    "left": lambda one: f"{one.left_mib} ({one.left_cpu_m / 1000:.1f} cores)",
}


def _trouble(stack: StackPlan | LayerPlan) -> str:
    lines = [f"PROBLEM {stack.cloud}: {problem}" for problem in stack.problems]
    lines += [f"{f.policy} {stack.cloud}: {f.resource.split('::')[-1]}: {f.message}" for f in stack.findings]
    return "\n".join(lines)


_WIDTH_MAX = 58


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; a long cell is folded, a word at a time."""
    folded = [[_fold(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(line) for row in folded for line in row[i]) for i in range(len(head))]
    lines = []
    for row in folded:
        for i in range(max(len(cell) for cell in row)):
            texts = [cell[i] if i < len(cell) else "" for cell in row]
            lines.append("  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip())
    return "\n".join(lines)


def _fold(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH_MAX, break_long_words=False, break_on_hyphens=False) or [""]


def _pipes(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
