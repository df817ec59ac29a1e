import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.kit.errors import ConfigurationInvalid
from services.core.text.normalise import normalise
from services.core.text.redact import RedactionConfig, Redactor, build_redactor, restore

PLANTED = {
    "EMAIL_ADDRESS": "jane.doe@example.com",
    "PHONE_NUMBER": "+44 7700 900123",
    "IBAN_CODE": "DE89370400440532013000",
    "CREDIT_CARD": "4111 1111 1111 1111",
    "IP_ADDRESS": "203.0.113.77",
    "US_SSN": "536-22-8726",
    "SECRET": "AKIAIOSFODNN7EXAMPLE",
    "URL": "https://intranet.example.com/u/jdoe",
    "PERSON": "Jane Kowalska",
}
KEPT = (
    "0x80070005",
    "INC0012345",
    "ORA-00942",
    "HTTP 502",
    "KB5005565",
    "10.0.19041.1288",
    "CVE-2024-3094",
    "Windows 11 23H2",
    "ticket 1234567",
    "order 20240017",
    "Office 2016",
    "5.1.67",
    "ERR-4711-22",
    "SR-2024-000981",
    "Outlook 16.0.1.2",
    "port 8080",
)
UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=UNCHECKED)
WORDS = st.sampled_from(
    [
        "the printer",
        "is broken",
        "Anna",
        "Mr. Weber",
        "calls",
        "\n",
        ", ",
        "Müller GmbH",
        "in Paris",
        "0x80070005",
        "<PERSON_1>",
        "<b>",
        "&lt;p&gt;",
        "12 Baker Street",
        "password: hunter22",
        "On Monday",
        "-- ",
        "> quoted",
        "Sehr geehrte Frau Schmidt",
        "04 97 50 89 35",
    ]
)
TEXTS = st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=200))


@QUICK
@given(text=TEXTS)
def test_restoring_gives_the_normalised_text(redactor: Redactor, text: str) -> None:
    """Nothing is lost between redaction and write-back, whatever the text contains."""
    redacted = redactor.redact(text)
    assert restore(redacted.fields["text"], redacted.vault) == normalise(text)


@QUICK
@given(text=TEXTS)
def test_redacting_twice_is_redacting_once(redactor: Redactor, text: str) -> None:
    """Placeholders are left alone, and nothing new is found around them."""
    once = redactor.redact(text)
    twice = redactor.redact(once.fields["text"], once.language)
    assert twice.fields == once.fields
    assert twice.vault == {}


@QUICK
@given(
    entity=st.sampled_from(sorted(PLANTED)),
    before=st.sampled_from(["", "Please check ", "Hallo,\n", "Bonjour, voici ", "see: "]),
    after=st.sampled_from(["", " today.", "\nThanks", ", merci", " (urgent)"]),
)
def test_a_planted_value_never_leaks(redactor: Redactor, entity: str, before: str, after: str) -> None:
    """The value is in the vault and nowhere in the text."""
    redacted = redactor.redact(f"{before}{PLANTED[entity]}{after}")
    assert PLANTED[entity] not in redacted.fields["text"]
    assert PLANTED[entity] in redacted.vault.values()


@pytest.mark.parametrize("code", KEPT)
def test_codes_versions_and_ids_stay(redactor: Redactor, code: str) -> None:
    """Routing needs them: a wrong redaction here costs accuracy and protects nobody."""
    text = f"Since the update it fails with {code} on the laptop"
    assert redactor.redact(text).fields["text"] == text


@pytest.mark.parametrize(
    ("language", "text", "hidden"),
    [
        ("de", "Guten Tag,\nich komme nicht ins VPN.\nMit freundlichen Grüßen\nUwe Brandtner", "Uwe Brandtner"),
        ("de", "Bitte rufen Sie Frau Oberhauser zurück", "Oberhauser"),
        ("fr", "Bonjour,\nle compte est bloqué.\nCordialement,\nMaëlys Corbinot", "Maëlys Corbinot"),
        ("fr", "Merci de rappeler Mme Thévenard au 04 97 50 89 35", "Thévenard"),
        ("es", "Hola, la cuenta no funciona.\nUn saludo,\nIker Zubizarreta", "Iker Zubizarreta"),
        ("es", "La señora Etxeberria no puede entrar", "Etxeberria"),
        ("de", "Meine Adresse: Lindenstraße 14b, 20095 Hamburg", "Lindenstraße 14b"),
        ("fr", "J'habite 12 rue des Lilas, 75011 Paris", "12 rue des Lilas"),
        ("es", "Envíen a Calle Mayor 5, 28013 Madrid", "Calle Mayor 5"),
        ("en", "Ship it to 221 Baker Street, London", "221 Baker Street"),
        ("en", "hi, this is sylwia larsson from accounting, my laptop is slow", "sylwia larsson"),
        ("en", "Its Orla Brannigan again", "Orla Brannigan"),
        ("de", "Bitte an Öztürk, Mehmet weiterleiten", "Öztürk, Mehmet"),
        ("it", "Avvisate la signora Törnqvist per favore", "Törnqvist"),
        ("nl", "Met vriendelijke groet,\nJoost Hoekstra", "Hoekstra"),
        ("pl", "Pozdrawiam,\nKrystyna Bąk", "Krystyna Bąk"),
        ("pt", "Cumprimentos,\nCaetana Neves", "Caetana Neves"),
        ("en", "Please close it.\nRuža Pallister", "Ruža Pallister"),
        ("en", "call 275.105.3538x604 after noon", "275.105.3538x604"),
        ("pl", "ul. Kwiatowa 7, 64-113 Leszno", "64-113"),
    ],
)
def test_names_and_addresses_go_in_every_language(redactor: Redactor, language: str, text: str, hidden: str) -> None:
    """Greetings, titles, signatures and street words of the eight languages are known, in small letters too."""
    assert hidden not in redactor.redact(text, language).fields["text"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("write to ann＠example.com please", "ann"),
        ("write to ann&#64;example.com please", "ann"),
        ("admin pw hunter2 for the switch", "hunter2"),
        ("das kennwort sommer24 geht nicht", "sommer24"),
    ],
)
def test_what_a_stranger_wrote_otherwise_is_hidden_too(redactor: Redactor, text: str, hidden: str) -> None:
    """Addresses in other characters, and a password directly after its word."""
    assert hidden not in redactor.redact(text).fields["text"]


@pytest.mark.parametrize("text", ["the password policy changed", "my password vpn1 says no", "pw v2 is out"])
def test_what_follows_a_password_and_is_a_word_stays(redactor: Redactor, text: str) -> None:
    assert redactor.redact(text).fields["text"] == text


def test_fields_share_their_placeholders(redactor: Redactor) -> None:
    """The same person in subject and body is the same placeholder, so a summary can refer to them."""
    redacted = redactor.redact_fields(
        {"subject": "Access for jane@example.com", "body": "jane@example.com cannot log in"}
    )
    assert redacted.fields == {"subject": "Access for <EMAIL_ADDRESS_1>", "body": "<EMAIL_ADDRESS_1> cannot log in"}


def test_a_name_found_once_is_hidden_everywhere(redactor: Redactor) -> None:
    """A family name alone is hidden when the full name stands elsewhere in the ticket."""
    text = redactor.redact("Regards from Anna Lindqvist.\nPlease ask Lindqvist about it").fields["text"]
    assert "Lindqvist" not in text


def test_a_placeholder_the_customer_wrote_is_never_reused(redactor: Redactor) -> None:
    """Else restoring would put one person's data where another wrote a placeholder."""
    redacted = redactor.redact("Template says <EMAIL_ADDRESS_1>, mine is jane@example.com")
    assert redacted.fields["text"] == "Template says <EMAIL_ADDRESS_1>, mine is <EMAIL_ADDRESS_2>"


def test_only_configured_entities_are_hidden() -> None:
    """A company may keep organisations, say, and hide the rest."""
    redactor = build_redactor(RedactionConfig(models={}, entities=frozenset({"EMAIL_ADDRESS"})))
    assert redactor.redact("jane@example.com, 203.0.113.77").fields["text"] == "<EMAIL_ADDRESS_1>, 203.0.113.77"


def test_a_missing_model_is_named_with_the_fix() -> None:
    """The start stops with the package to install, not with an ImportError."""
    with pytest.raises(ConfigurationInvalid, match=r"xx_no_such_model.*pip install"):
        build_redactor(RedactionConfig(models={"*": "xx_no_such_model"}))


def test_threads_may_share_a_redactor(redactor: Redactor) -> None:
    """Eight threads get what one gets."""
    text = "Hi, I am Jane Kowalska, +44 7700 900123, jane@example.com"
    expected, answers = redactor.redact(text), []
    threads = [threading.Thread(target=lambda: answers.append(redactor.redact(text))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 8


def test_a_batch_gets_what_each_ticket_gets_alone(redactor: Redactor) -> None:
    """Neighbours in a batch share the model's call and nothing else."""
    tickets = [
        {"subject": "Printer", "body": "Please ask Anna Lindqvist in Malmberg about it.\nRegards, Tomasz"},
        {"subject": "Printer", "body": "hola, soy Iker Zubizarreta"},
        {"subject": "", "body": ""},
        {"subject": "VPN", "body": "Guten Tag, der Zugang von Uwe Brandtner ist gesperrt"},
    ]
    assert redactor.redact_many(tickets) == [redactor.redact_fields(ticket) for ticket in tickets]


def test_a_name_on_a_line_of_its_own_company_is_found_beside_code(redactor: Redactor) -> None:
    """Lines of code are not read by the model; the sentence beside them is."""
    text = "{ (x) => [y]; $z }\nGustavo Pemberton reported this to Halvorsen last week."
    safe = redactor.redact(text).fields["text"]
    assert "Pemberton" not in safe
    assert "{ (x) => [y]; $z }" in safe


def test_every_process_numbers_alike() -> None:
    """Placeholders do not depend on the order in which Python happens to keep a set."""
    program = (
        "from services.core.text.redact import RedactionConfig, build_redactor;"
        "print(build_redactor(RedactionConfig(models={})).redact_fields({'subject': 'a@example.com', 'body':"
        "'b@example.com', 'note': 'c@example.com, Mr. Weber'}).fields)"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3", "4")
    }
    assert len(answers) == 1


TECHNICAL = (
    "Build Failed: Connection Pool Exhausted after the Upgrade.\nHandler and Queue are listed in the Changelog.",
    "CPython, PyPI and KServe are pinned; SQLAlchemy is not. See RFC 2822 and RFC 5321.",
    "The German translation and the text in Spanish are cut off. Requests to the Histogram page fail.",
)


@pytest.mark.parametrize("text", TECHNICAL)
def test_capitals_of_headings_tools_and_languages_name_nobody(redactor: Redactor, text: str) -> None:
    """The dictionary, the spelling of identifiers and the words around a language say so."""
    assert redactor.find(text, "en") == []


def test_a_name_that_is_a_word_stays_a_name_where_it_stands_like_one(redactor: Redactor) -> None:
    """After a greeting, a title or a first name; and a German is not a German keyboard."""
    hidden = redactor.redact("Dear Hunter,\nMr Baker asked Maria Cook. A German with a German keyboard called.").fields[
        "text"
    ]
    assert not {"Hunter", "Baker", "Cook"} & set(hidden.replace(",", " ").split())
    assert hidden.count("German") == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("il mouse non va.\ncordiali saluti,\nmate musatti\ntel. 33611541689", "mate musatti"),
        ("de muis is stuk.\nmet vriendelijke groet,\nbruno de grunt", "bruno de grunt"),
    ],
)
def test_a_signature_in_small_letters_is_a_name(redactor: Redactor, text: str, name: str) -> None:
    """Under a closing; what is said there in everyday words is none."""
    assert name not in redactor.redact(text).fields["text"]
    assert redactor.redact("it is broken.\nthanks,\nplease call back").fields["text"].endswith("please call back")
