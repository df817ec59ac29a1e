"""What a mail says, whatever came: charsets, MIME, HTML, attachments, history; and which mail nobody wrote."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.connectors.email.automatic import is_bounce, may_be_answered, why_automatic
from services.core.connectors.email.bounced import returned, status_of
from services.core.connectors.email.mailbox import Place, Raw
from services.core.connectors.email.quoted import new_text
from services.core.connectors.email.reading import Mail, read
from services.core.connectors.email.settings import EmailSettings
from tests.services.core.connectors.email.post import ADDRESS, written

OWN = EmailSettings.model_validate({"address": ADDRESS, "machines": ["@alerts.example.com"]})
HEAD = b"From: Ana <ana@example.org>\r\nTo: help@example.com\r\nMessage-ID: <1@example.org>\r\nSubject: Printer\r\n"


def raw(content: bytes, *, size_bytes: int | None = None) -> Raw:
    return Raw(Place(1, 1), datetime(2026, 11, 20, tzinfo=UTC), size_bytes or len(content), content)


def mail(content: bytes) -> Mail:
    return read(raw(content))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "Grüße".encode(), "Grüße"),
        (b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "Grüße".encode("latin-1"), "Grüße"),
        (b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + "Grüße €".encode("cp1252"), "Grüße €"),
        (b"Content-Type: text/plain; charset=no-such\r\n\r\n" + "Grüße".encode(), "Grüße"),
        (b"Content-Type: text/plain; charset=\xff\xfe\r\n\r\nok", "ok"),
        (b"Content-Type: text/plain; charset=rot13\r\n\r\nok", "ok"),
        (b"Content-Transfer-Encoding: base64\r\n\r\n!!!not base64", "!!!not base64"),
        (b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe =ZZ", "Grüße =ZZ"),
        (b"Content-Transfer-Encoding: no-such\r\n\r\nok", "ok"),
        (b"\r\na\x00b", "ab"),
        (b"\r\n", ""),
        (b"", ""),
        (b"Content-Type: text/html\r\n\r\n<p>It <b>burns</b><br>now</p><script>x</script>", "It burns\nnow"),
        (b"Content-Type: multipart/mixed\r\n\r\nno boundary", "no boundary"),
        (b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\ncut off in the mid', "cut off in the mid"),
    ],
)
def test_whatever_came_is_read(content: bytes, text: str) -> None:
    """A wrong, missing or invented charset, broken base64, no boundary, no end."""
    assert mail(HEAD + content).text.startswith(text)
    assert mail(HEAD + content).subject == "Printer"


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= an =?iso-8859-1?q?M=FCller?=", "Grüße an Müller"),
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("latin-1"), "Grüße"),
        (b"=?utf-8?b?abcde?=", "=?utf-8?b?abcde?="),
        (b"=?no-such?q?Gr=FC=DFe?=", "Grüße"),
        (b"a\r\n\tb", "a b"),
        (b"a\x00b", "ab"),
        (b"x" * 5_000, "x" * 1_000),
    ],
)
def test_subjects_in_every_disguise(subject: bytes, shown: str) -> None:
    """Encoded, raw in eight bits, broken, folded, endless."""
    assert mail(b"Subject: " + subject + b"\r\nFrom: a@example.org\r\n\r\nok").subject == shown


def test_attachments_are_named_and_not_opened() -> None:
    """Name, type and size; what is inside is no text of the ticket, not even a mail."""
    message = written()
    message.add_attachment(b"PK" * 1_000, "application", "zip", filename="Rechnung März.zip")
    message.add_attachment(written("Inner", "Secret words"))
    message.add_attachment("a,b", filename="list.csv")
    found = mail(message.as_bytes())
    assert [(one.name, one.type) for one in found.attachments] == [
        ("Rechnung März.zip", "application/zip"),
        ("without a name", "message/rfc822"),
        ("list.csv", "text/plain"),
    ]
    assert 1_900 < found.attachments[0].size_bytes < 2_100
    assert "[Attached: Rechnung März.zip (application/zip, 2 kB)]" in found.text
    assert "Secret words" not in found.text


def test_plain_words_are_taken_before_html() -> None:
    """As mail programs show either."""
    message = written(text="Plain words")
    message.add_alternative("<p>HTML words</p>", subtype="html")
    assert mail(message.as_bytes()).text == "Plain words"


def test_an_enormous_mail_says_what_was_not_read() -> None:
    """The beginning is there, and that there is more."""
    found = read(raw(HEAD + b"\r\nIt burns", size_bytes=30_000_000))
    assert found.text.startswith("It burns\n\n[The mail has 30.0 MB; its first 1 kB were read.]")


def test_nested_without_end_it_is_read_as_text() -> None:
    """A mail built to exhaust the parser is a ticket like any other."""
    bomb = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(3_000))
    found = mail(HEAD + bomb + b"\r\nIt burns")
    assert found.subject == "Printer"
    assert found.sender.email == "ana@example.org"


@pytest.mark.parametrize(
    "content",
    [
        b"From: " + b"(" * 100_000 + b"\r\n\r\nx",
        b"Subject: " + b"=?utf-8?q?a?= " * 70_000 + b"\r\n\r\nx",
        b"References: " + b"<" * 1_000_000 + b"\r\n\r\nx",
        b"Content-Type: text/html\r\n\r\n" + b"<!--" * 250_000,
        b"Content-Type: text/html\r\n\r\n" + b"<![" * 300_000,
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\n" * 100_000,
        b"\r\n" + b"On x" * 250_000,
        b"\r\n" + b"From: x\n" * 100_000,
    ],
)
def test_a_mail_that_was_built_to_take_for_ever_is_read(content: bytes) -> None:
    """The library's own parsers take minutes or end in an error for some of these: the box would stand still."""
    found = mail(content)
    assert new_text(found.text) is not None
    assert why_automatic(found, OWN) is None


@settings(deadline=None, max_examples=200)
@given(head=st.binary(max_size=300), body=st.binary(max_size=300))
def test_any_bytes_are_a_mail(head: bytes, body: bytes) -> None:
    """Nothing is raised, and all of it can be stored."""
    found = mail(head + b"\r\n\r\n" + body)
    for text in (found.text, found.subject, found.sender.name or "", found.sender.email or "", *found.references):
        assert "\x00" not in text
        text.encode("utf-8")
    assert why_automatic(found, OWN) == why_automatic(mail(head + b"\r\n\r\n" + body), OWN)


@pytest.mark.parametrize(
    "said",
    [
        "It works now.\n\nOn Fri, 20 Nov 2026 at 09:00, Help <help@example.com> wrote:\n> Did you\n> restart?",
        "It works now.\n\nOn Fri, 20 Nov 2026 at 09:00, the help desk of a company\n<help@example.com> wrote:\n\n> x",
        "> Did you restart?\n\nIt works now.",
        "Am 20.11.2026 um 09:00 schrieb Hilfe:\n> Neu gestartet?\n\nIt works now.",
        "Le ven. 20 nov. 2026 à 09:00, Aide <a@example.com> a écrit :\n> x\nIt works now.",
        "El vie, 20 nov 2026 a las 9:00, Ayuda escribió:\n> x\nIt works now.",
        "It works now.\n\n-----Original Message-----\nFrom: Help\nold words",
        "It works now.\n\n________________________________\nFrom: Help <help@example.com>\nold words",
        "It works now.\n\nVon: Hilfe\nGesendet: Freitag\nAn: Ana\nBetreff: x\n\nalte Worte",
    ],
)
def test_the_history_of_a_reply_is_cut(said: str) -> None:
    """Above, below and between, in the words of the common programs."""
    assert new_text(said) == "It works now."


@pytest.mark.parametrize(
    "said", ["> only a quote", "On the roof she wrote:\nwater", "From: me\nwith love", "Write to:\n- Ana"]
)
def test_what_is_no_history_stays(said: str) -> None:
    """Rather too much than nothing."""
    assert new_text(said) == said


def test_what_hangs_on_a_reply_is_named_below_its_new_words() -> None:
    """The list is not part of the history."""
    assert (
        new_text("New\n\n> old\n\n[Attached: a.png (image/png, 2 kB)]") == "New\n\n[Attached: a.png (image/png, 2 kB)]"
    )


def test_html_quotes_are_history_too() -> None:
    """A quoted block in HTML is one in text."""
    html = b"Content-Type: text/html\r\n\r\n<p>It works now.</p><blockquote><p>Did you<br>restart?</p></blockquote>"
    assert new_text(mail(HEAD + html).text) == "It works now."


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Return_Path": "<>"}, "bounce"),
        ({"Content_Type": "multipart/report; report-type=delivery-status; boundary=b"}, "bounce"),
        ({"From": "MAILER-DAEMON@mx.example.org"}, "bounce"),
        ({"Auto_Submitted": "auto-replied (vacation)"}, "automatic"),
        ({"Auto_Submitted": "auto-generated; type=x"}, "automatic"),
        ({"Precedence": "bulk"}, "automatic"),
        ({"Precedence": "auto_reply"}, "automatic"),
        ({"X_Auto_Response_Suppress": "All"}, "automatic"),
        ({"X_Autoreply": "yes"}, "automatic"),
        ({"X_Loop": ADDRESS}, "our own"),
        ({"Message_ID": "<pointsman.0123456789abcdef@example.com>"}, "our own"),
    ],
)
def test_mail_that_nobody_wrote(headers: dict[str, str], why: str) -> None:
    """Makes no ticket, gets no answer."""
    lines = {"From": "ana@example.org", "Subject": "x", **{k.replace("_", "-"): v for k, v in headers.items()}}
    found = mail("".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + b"\r\nx")
    assert why in (why_automatic(found, OWN) or "")
    assert not may_be_answered(found, "ana@example.org", OWN)


def test_our_mail_is_known_below_anothers_mark() -> None:
    """Whoever passes it on puts its own on top."""
    passed_on = mail(b"X-Loop: list@example.org\r\nX-Loop: help@example.com\r\n" + HEAD + b"\r\nx")
    assert why_automatic(passed_on, OWN) == "our own mail came back"


def test_mail_in_circles_is_left_alone() -> None:
    """However it was changed on the way."""
    assert why_automatic(mail(b"Received: x\r\n" * 51 + HEAD + b"\r\nx"), OWN) == "it goes in circles"


def test_mail_that_somebody_wrote() -> None:
    """`Auto-Submitted: no` says so; a machine that may open tickets does, and is not answered."""
    person = mail(HEAD + b"Auto-Submitted: no\r\n\r\nx")
    assert why_automatic(person, OWN) is None
    assert may_be_answered(person, "ana@example.org", OWN)
    machine = mail(b"From: disk@alerts.example.com\r\nAuto-Submitted: auto-generated\r\n\r\nfull")
    assert why_automatic(machine, OWN) is None
    assert not may_be_answered(machine, "disk@alerts.example.com", OWN)
    assert not may_be_answered(person, "no-reply@example.org", OWN)


def test_a_mail_has_one_key_wherever_it_lies() -> None:
    """Not the Message-ID alone: devices give all of theirs the same one; without any the content counts."""
    other_day = HEAD + b"Date: Fri, 20 Nov 2026 09:00:00 +0000\r\n\r\nx"
    assert mail(HEAD + b"\r\nx").key == read(raw(b"Received: by mx\r\n" + HEAD + b"\r\nx")).key
    assert mail(HEAD + b"\r\nx").key != mail(other_day).key
    assert mail(b"From: scanner@example.com\r\n\r\npage 1").key != mail(b"From: scanner@example.com\r\n\r\npage 2").key


OURS = f"<pointsman.{'0a' * 16}@example.com>"
BOUNCED = "From: MAILER-DAEMON@example.com\r\nReturn-Path: <>\r\nMessage-ID: <b@example.com>\r\n"
REPORT = 'Content-Type: multipart/report; boundary="b"\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\n'
STATUS = f"{REPORT}Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; team@example.com\r\n"
HEAD_OF_OURS = f"\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {OURS}\r\n\r\n--b--"


@pytest.mark.parametrize(
    ("content", "found", "status"),
    [
        (f"{STATUS}Action: failed\r\nStatus: 5.1.1\r\n{HEAD_OF_OURS}", OURS, "5.1.1"),
        (f"{REPORT}Content-Type: message/rfc822\r\n\r\nMessage-Id:\r\n {OURS}\r\nX: <x@y>\r\n--b--", OURS, "unknown"),
        (f"In-Reply-To: {OURS}\r\n\r\nYour message couldn't be delivered.", OURS, "unknown"),
        (f"\r\nHi. This is the qmail-send program.\r\n\r\nMessage-ID: {OURS}\r\n", OURS, "unknown"),
        (f"{STATUS}Action: delayed\r\nStatus: 4.4.1\r\n{HEAD_OF_OURS}", None, "4.4.1"),
        (f"{STATUS}Action: delivered\r\n{HEAD_OF_OURS}", None, "unknown"),
        (f"{REPORT}\r\n\r\nMessage-ID: <pointsman.guess@example.com>\r\n--b--", None, "unknown"),
        ("\r\nNo such user.", None, "unknown"),
    ],
    ids=["postfix", "folded", "exchange", "qmail", "delayed", "delivered", "not ours", "nothing said"],
)
def test_a_bounce_names_the_mail_that_came_back(content: str, found: str | None, status: str) -> None:
    """By the head that it brings back, else by what it answers; a server that goes on trying has lost nothing."""
    bounce = mail((BOUNCED + content).encode())
    assert is_bounce(bounce)
    assert (returned(bounce), status_of(bounce)) == (found, status)
