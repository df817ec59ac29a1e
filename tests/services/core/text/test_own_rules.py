"""What an operator adds is taken whole or refused, and works at both levels."""

import time
from pathlib import Path

import pytest

from services.core.kit.errors import ConfigurationInvalid
from services.core.text.explain import explain
from services.core.text.own_rules import OwnRules, read_rules
from services.core.text.redact import RedactionConfig, Redactor, build_redactor
from services.core.text.strict import strict

RULES = """
keep = ["Harbour Falcon", "Quillon"]
people = ["Zephyrine Oddbody", "May"]
organisations = ["Brackwater & Daughters"]
places = ["Nether Wobbling"]

[[patterns]]
name = "asset tag"
kind = "DEVICE_ID"
pattern = '\\bTAG-(?P<value>[A-Z]{2}\\d{5})\\b'
finds = ["TAG-QX00417"]
spares = ["TAG-12"]
"""
# Each takes an engine that backtracks more than linear time, and most of them for ever.
CATASTROPHIC = (
    r"(a+)+$",
    r"(a|a)*b",
    r"(\w{1,30}){1,30}!",
    r"(a|aa){1,40}b",
    r"\d{1,200}\d{1,200}x",
    r"(?:x?){1,60}y",
    r"(?=(a+)+b)a",
    r".*,.*,.*x",
)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> OwnRules:
    path = tmp_path_factory.mktemp("rules") / "redaction.toml"
    path.write_text(RULES, "utf-8")
    return read_rules(path)


@pytest.fixture(scope="module")
def own(rules: OwnRules) -> Redactor:
    return build_redactor(RedactionConfig(models={}), rules)


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("swap TAG-QX00417 today", "QX00417", "DEVICE_ID"),
        ("zephyrine oddbody asks", "zephyrine oddbody", "PERSON"),
        ("ZEPHYRINE  ODDBODY asks", "ZEPHYRINE ODDBODY", "PERSON"),
        ("ask May about it", "May", "PERSON"),
        ("from Brackwater & Daughters", "Brackwater & Daughters", "ORGANIZATION"),
        ("the printer in Nether Wobbling", "Nether Wobbling", "LOCATION"),
    ],
)
def test_what_the_operator_lists_goes(own: Redactor, text: str, value: str, kind: str) -> None:
    """In any case; of a pattern with a group `value` that group alone."""
    assert own.redact(text, "en").vault == {f"<{kind}_1>": value}


def test_an_everyday_word_stays_in_small_letters(own: Redactor) -> None:
    """Ms May is on the list; "may" is not her."""
    assert own.redact("it may fail", "en").vault == {}


def test_a_product_stays_at_both_levels_and_a_secret_never(rules: OwnRules, own: Redactor) -> None:
    """Without the rules each of the first two is a person; a kept name does not save an address that holds it."""
    text = "Hello Harbour Falcon, Mr Quillon fails for quillon@example.com"
    bare = build_redactor(RedactionConfig(models={}), OwnRules()).redact(text, "en").fields["text"]
    assert "Harbour" not in bare
    assert "Quillon" not in bare
    kept = own.redact(text, "en").fields
    assert kept["text"] == "Hello Harbour Falcon, <TITLE_1> Quillon fails for <EMAIL_ADDRESS_1>"
    assert strict(kept, "en", rules).fields["text"] == kept["text"]
    assert "Quillon" not in strict(kept, "en", OwnRules()).fields["text"]


def test_what_touches_a_kept_name_is_not_kept(rules: OwnRules) -> None:
    """Only the name itself is vouched for."""
    assert "zx81q99817" not in strict({"text": "Quillon/zx81q99817 fails"}, "en", rules).fields["text"]


def test_hiding_twice_is_hiding_once(own: Redactor) -> None:
    once = own.redact("Zephyrine Oddbody, TAG-QX00417, Harbour Falcon", "en").fields["text"]
    assert own.redact(once, "en").fields["text"] == once


def test_a_rule_is_named(rules: OwnRules, own: Redactor) -> None:
    """An operator sees which of the own rules and which of ours hid it, and what strict hides on top."""
    told = explain(own, rules, "TAG-QX00417 of a@example.com, vlorxx", "en")
    assert {(one.level, one.value, one.rule) for one in told.hidden} == {
        ("standard", "QX00417", "own pattern 'asset tag'"),
        ("standard", "a@example.com", "presidio patterns"),
        ("strict", "vlorxx", "no word that is known"),
    }


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_a_pattern_without_a_bound_is_refused(tmp_path: Path, pattern: str) -> None:
    """Before it runs once."""
    with pytest.raises(ConfigurationInvalid, match=r"ways at one place|finds nothing at all"):
        _read(tmp_path, f"[[patterns]]\nname = 'x'\nkind = 'SECRET'\npattern = '{pattern}'\nfinds = ['a']\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("kep = ['x1']", "kep: Extra inputs"),
        ("[[patterns]]\nname='x'\nkind='SECRET'\npattern='ab'\nfinds=['ab']\nflags='i'", "flags: Extra inputs"),
        ("[[patterns]]\nname='x'\nkind='BADGE'\npattern='ab'\nfinds=['ab']", "'BADGE' is no kind; one of SECRET"),
        ("[[patterns]]\nname='x'\nkind='SECRET'\npattern='a('\nfinds=['ab']", "is no regular expression"),
        ("[[patterns]]\nname='x'\nkind='SECRET'\npattern='a?'\nfinds=['a']", "also finds nothing at all"),
        ("[[patterns]]\nname='x'\nkind='SECRET'\npattern='ab'\nfinds=['xy']", "does not find its example 'xy'"),
        ("[[patterns]]\nname='x'\nkind='SECRET'\npattern='ab'\nfinds=['ab']\nspares=['cab']", "which it should spare"),
        ("[[patterns]]\nname='x'\nkind='SECRET'\npattern='ab'\nfinds=[]", "patterns.0.finds"),
        ("keep = ['Nova']\npeople = ['nova']", "to keep and to hide at once: nova"),
        ("people = ['-']", "needs two letters"),
        ("people = [", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(tmp_path: Path, content: str, said: str) -> None:
    """With file, place and reason: a misspelled key would hide nothing and nobody would know."""
    with pytest.raises(ConfigurationInvalid) as refused:
        _read(tmp_path, content)
    assert said in refused.value.message
    assert "redaction.toml" in refused.value.message


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"none\.toml' cannot be read"):
        read_rules(tmp_path / "none.toml")


def test_the_slowest_pattern_that_is_taken_is_bounded() -> None:
    """At the limit of ways, on text made for it: a slice of a ticket costs seconds of processor time at most."""
    rules = OwnRules.model_validate(
        {"patterns": [{"name": "x", "kind": "SECRET", "pattern": r"a{1,40}a{1,40}b", "finds": ["aab"]}]}
    )
    started_s = time.thread_time()
    assert list(rules.patterns[0].find("a" * 4_096)) == []
    assert time.thread_time() - started_s < 5


def _read(folder: Path, content: str) -> OwnRules:
    path = folder / "redaction.toml"
    path.write_text(content, "utf-8")
    return read_rules(path)
