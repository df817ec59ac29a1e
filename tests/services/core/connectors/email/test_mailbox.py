"""The mailbox as people and servers use it: threads, loops, servers that number anew, restarts; nothing is touched."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from services.core.connectors.email.settings import EmailSettings
from services.core.connectors.polling import Changed, Position
from services.core.contracts.ticket import Status
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, NotFound
from tests.services.core.connectors.conformance import HANDED_OVER, letter, shown
from tests.services.core.connectors.email.post import ADDRESS, EVER, System, body, reply, written

FOR_EVER_AGO = Position(datetime(2000, 1, 1, tzinfo=UTC))


def number_anew(system: System) -> None:
    """As a server does that was restored: the mails are the same, their numbers are not."""
    folder, before = system.server.folder / "mail" / system.user, numbers(system)
    while numbers(system) == before:  # a session that is just ending may write the old ones back
        for file in (*folder.glob("dovecot-uid*"), *folder.glob("dovecot*index*")):
            file.unlink(missing_ok=True)
        (folder / "dovecot-uidvalidity").write_text("7fffffff")  # another one for certain


def numbers(system: System) -> bytes:
    with system.imap() as imap:
        return imap.status("INBOX", "(UIDVALIDITY)")[1][0]


def heard(rows: list[Changed]) -> list[tuple[str, bool]]:
    """Ticket and whether it is a comment, without what was passed over."""
    return [(row.ticket.external_id, row.comment is not None) for row in rows if not row.why_ignored]


async def test_a_mail_is_a_ticket_and_its_replies_are_comments(system: System) -> None:
    """By In-Reply-To, by References alone, by a reply to a reply; another mail of the same subject is another one."""
    first = written("Printer", "It burns")
    answered = reply(first, "Which one?\n\n> It burns", From="Jo <jo@example.com>")
    again = written("AW: Printer", "The red one", References=f"<gone@x> {answered['Message-ID']}")
    for mail in (first, answered, again, written("Printer", "Mine too")):
        system.deliver(mail)
    one, *others, other = heard(await system.hear())
    assert (one[1], [is_comment for _, is_comment in others], other[1]) == (False, [True, True], False)
    assert {one[0]} == {ticket for ticket, _ in others} != {other[0]}
    ticket = await shown(system, one[0])
    assert (ticket.subject, ticket.body, ticket.requester.email) == ("Printer", "It burns", "ana@example.org")
    said = [(comment.body, comment.author_id, comment.public) for comment in ticket.comments]
    assert said == [("Which one?", "jo@example.com", True), ("The red one", "ana@example.org", True)]


async def test_a_reply_that_comes_before_its_mail_finds_it(system: System) -> None:
    """Servers deliver out of order."""
    first = written()
    system.deliver(reply(first, "And smokes"))
    system.deliver(first)
    [(one, is_late), (other, is_comment)] = heard(await system.hear())
    assert (one == other, is_late, is_comment) == (True, False, True)


async def test_two_mails_of_one_second_are_two_events(system: System) -> None:
    """The time alone names neither."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    first = written()
    for mail in (first, reply(first, "a"), reply(first, "b")):
        system.deliver(mail, at=at)
    rows = await system.hear()
    assert len({row.key for row in rows}) == 3
    assert {row.at for row in rows} == {at.replace(microsecond=0)}


async def test_what_nobody_wrote_is_passed_over_and_the_box_goes_on(system: System) -> None:
    """More of it than a page holds; the position moves, so that it is read once."""
    for n in range(25):
        system.deliver(written(f"Out of office {n}", Auto_Submitted="auto-replied"))
    system.deliver(written("From ourselves", From=ADDRESS))
    system.deliver(written())
    rows = await system.hear()
    assert [bool(row.why_ignored) for row in rows] == [True] * 26 + [False]
    assert await system.hear() == []


async def test_broken_mail_stops_nothing(system: System) -> None:
    """Each is a ticket, and the good one behind them too."""
    broken = [b"\xff\xfe\x00\x01", b"no header at all", b"Subject: \xff\xff\r\n\r\n\x80\x81", b"From: \r\n\r\n"]
    for content in broken:
        system.deliver(content)
    system.deliver(written())
    rows = await system.hear()
    assert heard(rows) == [(row.ticket.external_id, False) for row in rows]
    assert len({row.ticket.external_id for row in rows}) == len(broken) + 1
    assert all(row.ticket.status is Status.NEW for row in rows)


async def test_an_enormous_mail_is_read_in_part_and_handed_over_in_words(system: System) -> None:
    """Twelve megabytes: what is read stays small, what is not is said, and the original is not sent on."""
    mail = written(text="It burns")
    mail.add_attachment(b"x" * 9_000_000, "application", "octet-stream", filename="film.mp4")
    external_id = await system.ask(mail)
    ticket = await shown(system, external_id)
    assert "film.mp4" in ticket.body
    assert "were read.]" in ticket.body
    await system.connector.write(letter(external_id))
    [taken] = system.post.to("billing@example.com")
    assert list(taken.iter_attachments()) == []


async def test_nothing_in_the_mailbox_is_touched(system: System) -> None:
    """No mail is seen, flagged, moved or deleted by our reading, writing and polling."""
    external_id = await system.open_ticket()
    await shown(system, external_id)
    await system.connector.write(letter(external_id))
    with system.imap() as imap:
        _, count = imap.select("INBOX", readonly=True)
        _, flags = imap.fetch("1:*", "(FLAGS)")
    assert count == [b"1"]
    assert b"Seen" not in b"".join(one for one in flags if isinstance(one, bytes))


async def test_mail_that_was_there_before_makes_no_tickets(system: System) -> None:
    """Listening begins now; what a person moves into the folder later is heard, however old it is."""
    old = datetime.now(UTC) - timedelta(days=1)
    system.deliver(written("Old"), at=old)
    system.heard = Position(datetime.now(UTC))
    assert heard(await system.hear()) == []
    system.deliver(written("Moved here"), at=old)
    assert [row.ticket.subject for row in await system.hear()] == ["Moved here"]


async def test_a_server_that_numbers_anew_loses_and_repeats_nothing(system: System) -> None:
    """The same mails under other numbers are the same events; what came meanwhile is a new one."""
    first = written("First")
    external_id = await system.ask(first)
    before = [row.key for row in await system.another().changes(FOR_EVER_AGO, EVER)]
    number_anew(system)
    with pytest.raises(ConnectorUnavailable, match="anew"):
        await system.connector.fetch(external_id)
    system.deliver(reply(first, "And smokes"))
    system.deliver(written("Second"))
    position = system.heard
    rows = await system.hear()
    assert [row.key for row in rows][:1] == before  # known by its key: the worker takes it for the one it had
    assert heard(rows)[:2] == [(external_id, False), (external_id, True)]
    assert [row.ticket.subject for row in rows][2:] == ["Second"]
    assert (position.at, position.id) < (system.heard.at, system.heard.id)
    assert [comment.body for comment in (await shown(system, external_id)).comments] == ["And smokes"]
    assert await system.hear() == []


async def test_killed_before_it_was_taken_in_it_is_heard_the_same_again(system: System) -> None:
    """What we noted about a thread does not turn its first mail into a comment."""
    first = written()
    for mail in (first, reply(first, "And smokes")):
        system.deliver(mail)
    once, again = [await one.changes(FOR_EVER_AGO, EVER) for one in (system.connector, system.another())]
    assert once == again


async def test_a_restart_in_the_middle_costs_one_turn(system: System) -> None:
    """Away, it is said so; back, everything goes on where it was."""
    first = written()
    external_id = await system.ask(first)
    system.server.kill()
    for asked in (system.hear(), system.connector.fetch(external_id), system.connector.write(letter(external_id))):
        with pytest.raises(ConnectorUnavailable, match="does not answer"):
            await asked
    system.server.start()
    system.deliver(reply(first, "And smokes"))
    assert heard(await system.hear()) == [(external_id, True)]
    assert (await system.connector.write(letter(external_id))).status == "written"


async def test_a_mail_that_people_deleted_is_gone(system: System) -> None:
    """Reading says so, writing is refused for good."""
    external_id = await system.open_ticket()
    with system.imap() as imap:
        imap.select("INBOX")
        imap.store("1", "+FLAGS", "\\Deleted")
        imap.expunge()
    with pytest.raises(NotFound, match="deleted"):
        await system.connector.fetch(external_id)
    with pytest.raises(ConnectorRejected):
        await system.connector.write(letter(external_id))


async def test_wrong_settings_are_said_and_final(system: System) -> None:
    """Password, folder and certificate; none of them is waited for."""
    imap = system.settings().model_dump()["imap"] | {"password": system.server.sign_in[1]}
    wrong = {"log-in": {"password": "guess"}, "folder": {"folder": "None"}, "ca_file": {"ca_file": None}}
    for said, change in wrong.items():
        with pytest.raises(ConnectorRejected, match=said) as caught:
            await system.another(imap=imap | change).changes(FOR_EVER_AGO, EVER)
        assert "guess" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"secrets": ["x"]}, "polled"),
        ({"poll_every_s": 5}, "imap"),
        ({"imap": {"host": "mx", "user": "u", "password": "p", "security": "none"}}, "clear"),
        ({"imap": {"host": "mx", "user": "u", "password": "p", "folder": 'a"b'}}, "folder"),
        ({"smtp": {"host": "mx", "sender": "a@example.com"}}, "desk"),
        ({"address": ADDRESS, "teams": {"Billing": {"address": ADDRESS.upper()}}}, "the mailbox itself"),
        ({"teams": {"Billing": {"address": "not an address"}}}, "address"),
        ({"teams": {"Billing": {"address": "a@b.c", "text": "{note.__class__}"}}}, "not known here"),
        ({"teams": {"Billing": {"address": "a@b.c", "answer": "Because {note}"}}}, "not known here"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(given: dict[str, object], said: str) -> None:
    """A loop, mail in the clear, a note to the customer: refused before anything runs."""
    with pytest.raises(ValidationError, match=said):
        EmailSettings.model_validate(given)


async def test_a_hand_over_is_a_mail_to_the_team(system: System) -> None:
    """Why, what, from whom; a reply goes to both; the original hangs on it; programs can see that nobody wrote it."""
    first = written("Grüße", "It burns", From='"Ana, the boss" <ana@example.org>')
    system.connector = system.another(teams={"Billing": {"address": "billing@example.com"}})
    external_id = await system.ask(first)
    await system.connector.write(letter(external_id))
    [mail] = system.post.to("billing@example.com")
    assert mail["Subject"] == f"[{external_id}] Grüße"
    assert mail["Reply-To"] == f"ana@example.org, {ADDRESS}"
    assert (mail["In-Reply-To"], mail["Auto-Submitted"], mail["X-Loop"]) == (
        first["Message-ID"], "auto-generated", ADDRESS,
    )  # fmt: skip
    assert (mail["Importance"], mail["X-Auto-Response-Suppress"]) == ("high", "All")
    for words in ("because", "Group: Billing. Priority: high. From: ana@example.org.", "It burns"):
        assert words in body(mail)
    [original] = mail.iter_attachments()
    assert (original.get_filename(), original.get_content()) == ("Grüße.eml", first.as_bytes())


async def test_a_team_that_answers_is_heard_and_our_own_copy_is_not(system: System) -> None:
    """By the Message-ID of the hand-over, which they answer; the hand-over that comes back is a loop."""
    external_id = await system.open_ticket()
    await system.connector.write(letter(external_id))
    [mail] = system.post.to("billing@example.com")
    system.deliver(mail)
    system.deliver(reply(mail, "Done", From="Jo <jo@example.com>"))
    looped, answered = await system.hear()
    assert looped.why_ignored == "our own mail came back"
    assert (answered.ticket.external_id, answered.actor) == (external_id, "jo@example.com")
    assert not answered.asks_again  # the team wrote it


async def test_who_asked_and_writes_again_is_passed_on(system: System) -> None:
    """Unless the team got it anyway; the hand-over then has what is new, and what hangs on it."""
    first = written()
    external_id = await system.ask(first)
    await system.connector.write(letter(external_id))
    system.deliver(reply(first, "It burns again"))
    system.deliver(reply(first, "For you too", Cc="billing@example.com"))
    assert [row.asks_again for row in await system.hear()] == [True, False]
    system.connector = system.another(teams={"Billing": {"address": "billing@example.com"}})
    await system.connector.write(letter(external_id, key="again", group=None, priority=None, note="Wrote again."))
    mail = system.post.to("billing@example.com")[-1]
    assert body(mail).index("It burns again") < body(mail).rindex("It burns")  # the newest first
    assert len(list(mail.iter_attachments())) == 2  # not what they had
    assert (await shown(system, external_id)).group == "Billing"


def answering(system: System, **given: object) -> None:
    team = {"address": "billing@example.com", "text": "{note}", "answer": "Passed to {group}. Number {number}."}
    system.connector = system.another(teams={"Billing": team}, **given)


async def test_whoever_asked_is_answered_once_in_the_thread(system: System) -> None:
    """In the words of the team, never with the note; a retry sends nothing more."""
    answering(system)
    first = written()
    external_id = await system.ask(first)
    for _ in range(2):
        await system.connector.write(letter(external_id))
    [answer] = system.post.to("ana@example.org")
    assert body(answer) == f"Passed to Billing. Number {external_id}."
    assert (answer["Subject"], answer["In-Reply-To"], answer["Auto-Submitted"]) == (
        "Re: Printer", first["Message-ID"], "auto-replied",
    )  # fmt: skip
    assert len(system.post.taken) == 2
    system.deliver(reply(answer, "Thank you"))
    assert heard(await system.hear()) == [(external_id, True)]


async def test_a_form_on_a_web_site_names_the_customer(system: System) -> None:
    """It writes as itself: the ticket and the answer are of whoever Reply-To names."""
    answering(system)
    external_id = await system.ask(written(From="no-reply@shop.example", Reply_To="Bo <bo@example.org>"))
    assert (await shown(system, external_id)).requester.email == "bo@example.org"
    await system.connector.write(letter(external_id))
    assert len(system.post.to("bo@example.org")) == 1


async def test_nobody_is_answered_without_end(system: System) -> None:
    """Two an hour to one address, and none to a machine; the team has every ticket."""
    answering(system, answers_an_hour=2, machines=["@alerts.example.com"])
    for n in range(3):
        await system.connector.write(letter(await system.ask(written(f"Loop {n}"))))
    alarm = written("Disk full", From="disk@alerts.example.com", Auto_Submitted="auto-generated")
    await system.connector.write(letter(await system.ask(alarm)))
    assert len(system.post.to("ana@example.org")) == 2
    assert system.post.to("disk@alerts.example.com") == []
    assert len(system.post.to("billing@example.com")) == 4


async def test_killed_between_hand_over_and_answer_the_rest_is_sent(system: System) -> None:
    """The team's mail is out and noted; the retry sends the answer alone."""
    answering(system)
    external_id = await system.ask(written())
    await system.fail_next_write("server_error", skip=1)
    with pytest.raises(ConnectorUnavailable):
        await system.connector.write(letter(external_id))
    assert (await system.connector.write(letter(external_id))).status == "written"
    assert [to for to, _ in system.post.taken] == ["billing@example.com", "ana@example.org"]


async def test_a_wrong_address_of_the_customer_holds_up_no_hand_over(system: System) -> None:
    """Refused for good, it is noted, and the letter is done."""
    answering(system)
    external_id = await system.ask(written())
    await system.fail_next_write("refused", skip=1)
    assert (await system.connector.write(letter(external_id))).status == "written"
    assert [to for to, _ in system.post.taken] == ["billing@example.com"]


async def test_a_second_copy_has_the_same_message_id(system: System) -> None:
    """At least once: the server took it and broke off. Mail systems know the copy by its id; we say so."""
    external_id = await system.open_ticket()
    await system.fail_next_write("break_after_effect")
    with pytest.raises(ConnectorUnavailable):
        await system.connector.write(letter(external_id))
    await system.another().write(letter(external_id))
    assert len(system.post.taken) == 2
    assert len(system.post.to("billing@example.com")) == 1


async def test_headers_cannot_be_injected(system: System) -> None:
    """Subject, name and address of a stranger go into headers as one line or not at all."""
    content = (
        b'From: =?utf-8?q?x=0D=0ABcc=3A_evil=40example=2Eorg?= <"a\r\n b"@example.org>\r\n'
        b"Subject: =?utf-8?q?a=0D=0ABcc=3A_evil=40example=2Eorg?=\r\nMessage-ID: <1@x\r\n Bcc: e@x>\r\n\r\nx"
    )
    external_id = await system.ask(content)
    await system.connector.write(letter(external_id))
    [(to, mail)] = system.post.taken
    assert (to, mail["Bcc"], mail["Reply-To"]) == ("billing@example.com", None, ADDRESS)


async def test_a_conversation_becomes_a_mail_of_the_box(system: System) -> None:
    """Whoever answers it writes to the one who asked and to us, and the answer is heard; our own copy is not."""
    opened = await system.connector.open(HANDED_OVER)
    assert heard(await system.hear()) == []
    ticket = await shown(system, opened.external_id)
    assert ticket.requester.email == "ana@example.com"
    [note] = system.post.to("lead@example.com")
    assert (body(note), note["Reply-To"]) == ("asked for a person", f"ana@example.com, {ADDRESS}")
    system.deliver(reply(note, "It is on its way", From="Jo <jo@example.com>"))
    assert heard(await system.hear()) == [(opened.external_id, True)]
    number_anew(system)
    await system.hear()
    comments = (await shown(system, opened.external_id)).comments
    assert [(comment.body, comment.author_id) for comment in comments] == [("It is on its way", "jo@example.com")]


async def test_two_instances_hear_the_same(system: System) -> None:
    """Two workers that ask at once: one thread, whoever noted it first."""
    first = written()
    for mail in (first, reply(first, "And smokes")):
        system.deliver(mail)
    both = await asyncio.gather(*(one.changes(FOR_EVER_AGO, EVER) for one in (system.connector, system.another())))
    assert both[0] == both[1]
