"""
Small real bundles, trained once per test run: made-up tickets, the first two layers of the real encoder.

Two layers instead of six make fine-tuning and export take seconds; everything else is the product's own code.
"""

import atexit
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from services.core.contracts.facts import Facts
from services.trainer.config import FitConfig
from services.trainer.export import wheel_model
from services.trainer.fit import fit
from services.trainer.prepare import Example, Targets, with_queue

WORDS = {
    "Network": ("vpn", "wifi", "dns", "router", "cable", "proxy", "latency", "firewall", "gateway", "ethernet"),
    "Payroll": ("salary", "payslip", "bonus", "tax", "overtime", "deduction", "refund", "wage", "Gehalt", "expenses"),
    "Access": ("password", "login", "locked", "token", "permission", "account", "badge", "reset", "Kennwort", "sso"),
    "Hardware": ("laptop", "screen", "keyboard", "printer", "mouse", "battery", "dock", "headset", "fan", "charger"),
}
RARE = ("Legal", ("contract", "lawsuit", "notary", "clause"))
FRAMES = (
    "My {a} stopped working since the {b} change",
    "Please help with {a} and {b}",
    "{a} problem\nSince Monday the {b} shows an error 0x80070005 and {c} is slow",
    "Question about {a}: who can approve {b}?",
    "URGENT {a} / {b} / {c}",
)


START = datetime(2026, 1, 5, tzinfo=UTC)
HOURS_OF = {"phone": 4.0, "mail": 40.0}


def made_up_tickets(rows: int, *, seed: int = 1, rare: int = 4) -> list[Example]:
    """Distinct tickets of four groups in turn, and `rare` ones of a fifth."""
    chance = random.Random(seed)
    groups = list(WORDS)
    found = [made_up_ticket(chance, groups[i % len(groups)], WORDS[groups[i % len(groups)]], i) for i in range(rows)]
    return found + [made_up_ticket(chance, *RARE, rows + i) for i in range(rare)]


def made_up_ticket(chance: random.Random, group: str, words: tuple[str, ...], number: int) -> Example:
    a, b, c = chance.sample(words, 3)
    return Example(f"{chance.choice(FRAMES).format(a=a, b=b, c=c)} (case {number})", group)


@cache
def small_encoder() -> Path:
    """A Hugging Face folder with the first two layers of MiniLM."""
    from transformers import AutoModel, AutoTokenizer

    folder = _folder()
    encoder = AutoModel.from_pretrained(wheel_model())
    encoder.encoder.layer = encoder.encoder.layer[:2]
    encoder.config.num_hidden_layers = 2
    encoder.save_pretrained(folder)
    AutoTokenizer.from_pretrained(wheel_model()).save_pretrained(folder)
    return folder


@cache
def tiny_encoder() -> Path:
    """A BERT of 32 dimensions that knows nothing: what is asked of it is only to be the same each time."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = _folder()
    tokenizer = AutoTokenizer.from_pretrained(wheel_model())
    torch.manual_seed(1)
    shape = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def small_config(**changes: object) -> FitConfig:
    base = {"epochs": 2, "fine_tunings": 1, "base_model": str(small_encoder()), "max_tokens": 48}
    return FitConfig(**{**base, **changes})  # ty: ignore[invalid-argument-type]


@cache
def small_bundle() -> Path:
    """Fine-tuned on 400 tickets: about ten seconds, once."""
    folder = _folder() / "bundle"
    fit(made_up_tickets(400), folder, small_config(), lambda stage, fraction, detail: None)
    return folder


@cache
def other_bundle() -> Path:
    """A second version: the cold start, on 120 other tickets."""
    folder = _folder() / "bundle"
    fit(made_up_tickets(120, seed=2), folder, small_config(encoder="frozen"), lambda stage, fraction, detail: None)
    return folder


def timed_tickets(rows: int, *, seed: int = 1) -> list[Example]:
    """A phone call is solved in hours, a mail in days; what takes over a day is late; payroll is urgent."""
    chance = random.Random(seed)
    return with_queue([_timed(row, at, chance) for at, row in enumerate(made_up_tickets(rows, seed=seed))])


def _timed(row: Example, number: int, chance: random.Random) -> Example:
    channel = chance.choice(tuple(HOURS_OF))
    hours = HOURS_OF[channel] * chance.lognormvariate(0, 0.5)
    opened = START + timedelta(hours=number)
    priority = "urgent" if row.group == "Payroll" else "low"
    return replace(
        row,
        at=opened + timedelta(hours=hours),
        facts=Facts(opened_at=opened, categories={"channel": channel, "requester": f"r{chance.randint(1, 9)}"}),
        targets=Targets(hours=hours, breached=hours > 24, priority=priority),
    )


def frozen_config() -> FitConfig:
    """Seconds, and no knowledge of words: what is learnt is known of the tickets beside them."""
    return small_config(base_model=str(tiny_encoder()), encoder="frozen")


@cache
def heads_bundle() -> Path:
    """With heads for hours, breach and priority."""
    folder = _folder() / "bundle"
    fit(timed_tickets(500), folder, frozen_config(), lambda stage, fraction, detail: None)
    return folder


def as_it_stands(tickets: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """In place of redaction, where a test is about something else."""
    return [dict(fields) for fields in tickets]


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pointsman-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
