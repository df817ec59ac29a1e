"""No input may cost more than linear time: a body of 1 MB arrives from anyone who can open a ticket."""

import time

import pytest

from services.core.text.normalise import normalise
from services.core.text.redact import RedactionConfig, Redactor, build_redactor

SEEDS = [
    "a@",
    "a@a@a@",
    "1",
    "1234567890",
    "123 456 ",
    "([{<",
    "a!",
    "Ab-",
    "Ab ",
    "Ab.",
    "http://",
    "1 Main Street, ",
    "'",
    "DE12 3456 ",
    "ab:",
    "Rue de de ",
    "On x wrote\n",
    "password is ",
    "a.b.",
    "Ann Lee\n",
    "Anna, ",
    "-----BEGIN PRIVATE KEY-----",
    "eyJ",
    "+1 ",
    "Mr. ",
    "A",
    "A’",
    "bearer ",
    "Acme, and ",
    "1-",
    "<p><div>",
    "<a ",
    "&amp;",
    "> \n",
    "user: ",
    "pin 1 ",
    "passport number is ",
    "account A1 ",
    "password for the wiki ",
    "a dot b at ",
    "x\\",
    "a1:b2:",
    "12 345 678 ",
    "DE12 ",
    "a @ ",
    "one ",
    "4111 ",
    "password was ",
    "号 1 2",
    "signed in as ",
    "ssh a@",
    "psql -u a ",
    "a.b@c a=b;",
    "ask ab cd ",
    "the code got ",
]
SMALL_CHARS, TIMES = 4_000, 8
# Quadratic code would take 64 times as long on 8 times the text; a busy machine stays below 3 times linear.
SLOWEST_RATIO = 3 * TIMES
ATTEMPTS = 10
FLOOR_S = 0.05  # below this, timer and cache noise decide


@pytest.fixture(scope="module")
def rules() -> Redactor:
    """Without the model, which reads a bounded part only."""
    return build_redactor(RedactionConfig(models={}))


@pytest.mark.parametrize("seed", SEEDS)
def test_time_grows_with_the_text_not_with_its_square(rules: Redactor, seed: str) -> None:
    """Eight times the hostile text costs about eight times as much."""
    small, large = ((seed * chars)[:chars] for chars in (SMALL_CHARS, SMALL_CHARS * TIMES))
    allowed_s = max(_cpu_s(rules, small), FLOOR_S) * SLOWEST_RATIO
    # Shared processors steal time at times, and never ten times running; a square takes its time each time.
    assert any(_cpu_s(rules, large) <= allowed_s for _ in range(ATTEMPTS))


@pytest.mark.parametrize("seed", ["a@a@a@"])
def test_a_megabyte_is_done_in_seconds(rules: Redactor, seed: str) -> None:
    """The body limit of the gateway, filled with what hurts patterns most."""
    text = (seed * 1_048_576)[:1_048_576]
    assert _cpu_s(rules, text) < 20


def _cpu_s(redactor: Redactor, text: str) -> float:
    started_s = time.thread_time()
    normalise(text)
    redactor.find(text, "de")
    return time.thread_time() - started_s
