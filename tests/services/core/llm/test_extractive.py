"""The embedded default: what it finds, what it never does, and how fast."""

import asyncio
import re
import time
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.contracts.priority import LabelText, PriorityQuestion, SummaryQuestion
from services.core.contracts.ticket import BODY_MAX_CHARS, Priority
from services.core.kit.errors import ConfigurationInvalid, InputInvalid
from services.core.llm.extractive import Extractive, priority_by_rules, summary_by_rules
from services.core.llm.lexicon import read_lexicon
from services.core.llm.matrix import LEVELS, ORDER, priority_of, read_matrix, restrict

ALL_LABELS = tuple(LabelText(name=name) for name in ORDER)


def ask(subject: str, body: str = "", labels: tuple[LabelText, ...] = ALL_LABELS) -> PriorityQuestion:
    return PriorityQuestion(ticket_id="T-1", subject=subject, body=body, labels=labels)


@pytest.mark.parametrize(
    ("subject", "body", "expected"),
    [
        ("VPN down", "All users cannot log in since this morning, the VPN is down.", "urgent"),
        ("Server ausgefallen", "Hallo Team, der Server ist ausgefallen, niemand kann arbeiten!", "urgent"),
        ("Panne générale", "Bonjour, le réseau est en panne, plus personne ne peut travailler.", "urgent"),
        ("Caída del servicio", "El servidor está caído y nadie puede trabajar.", "urgent"),
        ("Ransomware", "We see ransomware on a file share, this is a security incident.", "urgent"),
        ("Signature", "How do I change my e-mail signature? No rush.", "low"),
        ("Frage", "Wie kann ich meine Signatur ändern? Es eilt nicht.", "low"),
        ("Signature", "Comment puis-je changer ma signature ? Ce n'est pas urgent.", "low"),
        ("Firma", "¿Cómo puedo cambiar mi firma? No es urgente.", "low"),
        ("Passwort", "Mein Passwort ist abgelaufen, ich kann mich nicht anmelden", "normal"),
        ("Printer", "The printer prints blank pages.", "normal"),
        ("Reports", "Our department cannot work, the report server is slow.", "high"),
        ("Stolen", "My laptop was stolen on the train yesterday.", "urgent"),
        ("Webseite", "Website ist down, Kunden können nicht bestellen.", "urgent"),
        ("Écran", "Serait-il possible d'avoir un second écran ?", "low"),
        ("Fuego", "Hay un incendio en la sala de servidores.", "urgent"),
        ("VPN", "All users are affected, but it is not urgent.", "normal"),
    ],
)
def test_priority_follows_scope_and_urgency_in_four_languages(subject, body, expected):
    """Outage words and scope raise, questions and 'no rush' lower, a plain fault is normal."""
    assert priority_by_rules(ask(subject, body)).priority == expected


def test_a_negated_cue_is_not_the_cue():
    """'not urgent' uses up the word 'urgent'."""
    assert priority_by_rules(ask("x", "this is not urgent")).urgency == "low"
    assert priority_by_rules(ask("x", "this is urgent")).urgency == "high"


def test_the_reason_quotes_the_ticket_and_says_who_answered():
    """A person can check the reason against the text; no model is pretended."""
    answer = priority_by_rules(ask("Down", "ALL  users lost access to the portal, ASAP"))
    assert '"ALL  users"' in answer.reason
    assert '"ASAP"' in answer.reason
    assert (answer.by, answer.prompt_version) == ("extractive", None)


@given(st.sampled_from(ORDER), st.lists(st.sampled_from(ORDER), min_size=1, unique=True), st.text(max_size=200))
def test_only_offered_priorities_are_answered(priority, offered, body):
    """Whatever the text, the answer is one of the labels; the nearest one, the higher on a tie."""
    labels = tuple(LabelText(name=name) for name in offered)
    assert priority_by_rules(ask("all users down asap", body, labels)).priority in offered
    nearest = restrict(priority, labels)
    distance = abs(ORDER.index(nearest) - ORDER.index(priority))
    assert all(abs(ORDER.index(p) - ORDER.index(priority)) >= distance for p in offered)
    twin = ORDER.index(priority) + distance
    assert not (twin < len(ORDER) and ORDER[twin] in offered) or nearest == ORDER[twin]


@pytest.mark.parametrize("names", [(), ("P1", "P2"), ("urgent", "ASAP")])
def test_unusable_labels_are_refused_with_the_fix(names):
    with pytest.raises(InputInvalid, match="label catalogue"):
        priority_by_rules(ask("x", labels=tuple(LabelText(name=name) for name in names)))


def test_the_matrix_never_falls_as_impact_or_urgency_rises():
    """Monotone in both directions, from low to urgent."""
    rank = {(i, u): ORDER.index(priority_of(i, u)) for i in LEVELS for u in LEVELS}
    for lower, upper in pairwise(LEVELS):
        assert all(rank[lower, other] <= rank[upper, other] for other in LEVELS)
        assert all(rank[other, lower] <= rank[other, upper] for other in LEVELS)
    assert (priority_of("low", "low"), priority_of("high", "high")) == (Priority.LOW, Priority.URGENT)


@pytest.mark.parametrize("text", ["high: {low: normal}", "high: [1]", "{}", "high: {low: P1, medium: P1, high: P1}"])
def test_an_incomplete_matrix_is_refused(tmp_path, text):
    path = tmp_path / "matrix.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationInvalid, match=r"matrix\.yaml"):
        read_matrix(path)


def test_every_lexicon_phrase_can_be_matched():
    """A phrase with an accent or a capital could never fire: the words of a text are folded first."""
    lexicon = read_lexicon()
    phrases = [words for entries in (*lexicon.exact.values(), *lexicon.stems.values()) for words, _ in entries]
    assert len(phrases) > 500
    assert all(re.fullmatch(r"[a-z0-9]+\*?", word) for words in phrases for word in words)


SOLVED = SummaryQuestion(
    ticket_id="T-1",
    subject="VPN client fails with error 809",
    body="Hi team,\n\nSince Monday the VPN client fails with error 809 from home. See https://kb.example.com/vpn?x=1.\n"
    "Thanks,\n<PERSON_1>",
    comments=(
        ("agent", "Hello <PERSON_1>,\ncould you send a screenshot of the window?"),
        ("requester", "It says AADSTS50076, I restarted twice."),
        ("agent", "I have reset the firewall rule per KB0012345. Please try again tomorrow."),
    ),
)


def test_a_summary_holds_issue_actions_tags_and_references():
    answer = summary_by_rules(SOLVED)
    assert answer.issue == "Since Monday the VPN client fails with error 809 from home."
    assert answer.actions == "I have reset the firewall rule per KB0012345."
    assert answer.tags[0] == "vpn client"
    assert set(answer.references) == {"error 809", "https://kb.example.com/vpn?x=1", "AADSTS50076", "KB0012345"}


def test_what_the_requester_did_is_no_action():
    """'I restarted twice' came from the requester."""
    assert "restarted" not in summary_by_rules(SOLVED).actions


def test_a_ticket_without_agent_comments_claims_no_action():
    assert summary_by_rules(SOLVED.model_copy(update={"comments": ()})).actions == ""


TICKET_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=300) | st.sampled_from(
    [
        "Hi, die Straße İstanbul ﬁle. Fixed it!",
        "VPN VPN\tdown",
        "東京のサーバーが落ちた。再起動した。",
        "a" * 900,
        "[NAME] a b c.",
    ]
)


@given(TICKET_TEXT, TICKET_TEXT, st.lists(st.tuples(st.sampled_from(["requester", "agent"]), TICKET_TEXT), max_size=3))
def test_every_word_of_a_summary_is_in_the_ticket(subject, body, comments):
    """The extractive default cannot invent: each word, tag and reference occurs in what it was given."""
    answer = summary_by_rules(SummaryQuestion(ticket_id="T", subject=subject, body=body, comments=tuple(comments)))
    given_text = "\n".join([subject, body, *(text for _, text in comments)])
    words = [*answer.issue.split(), *answer.actions.split()]
    assert all(word in given_text for word in [*words, *answer.references])
    assert all(word in given_text.lower() for tag in answer.tags for word in tag.split())
    assert all(1 <= len(tag.split()) <= 2 for tag in answer.tags)


def test_placeholders_become_no_tags():
    tags = summary_by_rules(SummaryQuestion(ticket_id="T", subject="<PERSON_1> <EMAIL_1>", body="[PHONE_1]")).tags
    assert tags == ()


@pytest.mark.parametrize(
    "unit", ["a", " ", "\n", "A-", "http://", "ab. ", "ERR_", "[A", "how ", "not ", "é", "> ", "CVE-"]
)
def test_a_long_body_takes_linear_time(unit):
    """Eight times the text takes about eight times as long: quadratic work would take 64 times."""
    small, large = BODY_MAX_CHARS // 32, BODY_MAX_CHARS // 4
    quick = min(_seconds_for(unit * (small // len(unit))) for _ in range(2))
    slow = min(_seconds_for(unit * (large // len(unit))) for _ in range(2))
    assert slow < 24 * max(quick, 0.004)


def test_a_body_of_one_megabyte_takes_seconds_not_minutes():
    """The largest body the gateway accepts, made of words that begin phrases."""
    assert _seconds_for(("how can not all the users work? " * 40_000)[:BODY_MAX_CHARS]) < 10


def _seconds_for(body: str) -> float:
    begin = time.process_time()
    priority_by_rules(ask(body[:900], body))
    summary_by_rules(SummaryQuestion(ticket_id="T", subject="", body=body, comments=(("agent", body),)))
    return time.process_time() - begin


def test_the_port_answers_with_a_bill_of_zero():
    """No tokens, no dollars, and the time it took."""
    answered = asyncio.run(Extractive().prioritise(ask("VPN down")))
    assert (answered.usage.usd, answered.usage.input_tokens) == (Decimal(0), 0)
    assert answered.usage.model == answered.answer.by == "extractive"
    assert asyncio.run(Extractive().summarise(SOLVED)).answer == summary_by_rules(SOLVED)
