"""Notices: told once per channel, held back in quiet hours, gathered in a storm, and never with personal data."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb
from pydantic import ValidationError
from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError
from standardwebhooks import Webhook as TheirWebhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.core.kit import audit, outbox
from services.core.kit.database import Pool, build_pool
from services.core.kit.lanes import Lanes
from services.core.kit.outbox import Letter
from services.local.doubles.slack import Slack
from services.local.doubles.teams import PATH, Teams
from services.worker.notify.announce import LANE, announce_once
from services.worker.notify.channels import mail, slack_content, teams_content, tell
from services.worker.notify.notices import LINES_MAX, Notice, compose, sort
from services.worker.notify.settings import NotifySettings, Severity
from tests.services.core.connectors.conftest import Serve, http, serve

__all__ = ["http", "serve"]  # fixtures

CANARY = "zznoticezz"
PERSONAL = f"Jo {CANARY} Doe, jo.{CANARY}@example.com, +49 151 0815{CANARY}, IBAN DE89{CANARY}"
SECRET = "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
TOKEN, HOOK_SECRET, SIGNATURE = "xoxb-only-here", "hook-only-here", "sig-only-here"
NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # a Friday

TICKET = """
insert into tickets (connector, external_id, subject, body, state)
values ('generic', %s, %s, %s, 'triaged') returning id
"""
DECIDE = """
insert into decisions (ticket_id, workflow_id, decision, "group", band, priority, confidence, shadow)
values (%s, %s, %s, %s, 'ESCALATE', %s, 0.34, %s)
"""
BURY = (
    "update outbox set state = 'dead', settled_at = now(), last_error = %s where state = 'pending' and kind = 'write'"
)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with build_pool(database, min_size=1, max_size=4) as pool:
        yield pool


def settings(channel: dict[str, Any] | None = None, *rules: dict[str, Any], **more: Any) -> NotifySettings:
    channels = {"ops": channel or {"kind": "webhook", "url": "https://x.invalid/h", "secret": SECRET}}
    return NotifySettings.model_validate({"channels": channels, "rules": rules or [{"to": "ops"}], **more})


async def escalate(pool: Pool, *, group: str = "Network", priority: str = "high", shadow: bool = False) -> int:
    """A ticket that is full of personal data, its number in its system included."""
    async with pool.connection() as conn:
        number = f"{PERSONAL} {group} {priority} {shadow} {datetime.now(UTC).timestamp()}"
        row = await (await conn.execute(TICKET, (number, PERSONAL, PERSONAL))).fetchone()
        assert row is not None
        said = Jsonb({"reason": PERSONAL, "priority_reason": PERSONAL, "summary": PERSONAL})
        await conn.execute(DECIDE, (row["id"], f"new:{row['id']}", said, group, priority, shadow))
        return row["id"]


async def bury(pool: Pool, number: int, ticket_id: int | None = None) -> None:
    """Letters that failed with the vendor's words, in which the ticket's text stands."""
    async with pool.connection() as conn:
        for n in range(number):
            await outbox.put(conn, f"{ticket_id}:{n}", {}, kind="write", ticket_id=ticket_id, connector="zendesk")
        await conn.execute(BURY, (f"ConnectorRejected: Zendesk: 422 '{PERSONAL}' is not allowed",))


async def letters(pool: Pool) -> list[dict[str, Any]]:
    async with pool.connection() as conn:
        return await (await conn.execute("select * from outbox where kind = 'notice' order by id")).fetchall()


async def later(pool: Pool) -> None:
    """The channel may speak again."""
    async with pool.connection() as conn:
        await conn.execute("update notice_channels set last_at = last_at - interval '1 hour'")


async def start(pool: Pool, found: NotifySettings) -> None:
    """The channel's first look: from here on it hears."""
    assert await announce_once(pool, found, now=NOW) == 0


async def test_a_storm_is_one_message_and_nothing_is_told_twice(pool: Pool) -> None:
    """Before the channel: not told. One escalation at once; 400 dead letters in one more, five announcers or not."""
    await bury(pool, 3)
    found = settings()
    await start(pool, found)
    ticket = await escalate(pool)
    assert await announce_once(pool, found, now=NOW) == 1
    await bury(pool, 400, ticket)
    assert await announce_once(pool, found, now=NOW) == 0  # too soon
    await later(pool)
    said = await asyncio.gather(*(announce_once(pool, found, now=NOW) for _ in range(5)))
    assert sum(said) == 1
    await later(pool)
    assert await announce_once(pool, found, now=NOW) == 0
    first, second = await letters(pool)
    assert first["payload"]["title"].startswith(f"Ticket {ticket} needs a person: Network, confidence 34%")
    assert second["payload"]["title"] == "400 dead letters"
    assert (len(second["payload"]["lines"]), second["payload"]["more"]) == (LINES_MAX, 400 - LINES_MAX)
    assert (first["connector"], first["ticket_id"]) == (LANE + "ops", None)


async def test_a_transaction_that_is_killed_tells_nothing_and_loses_nothing(pool: Pool) -> None:
    """What was told and the letter are written together, or not at all."""
    found = settings()
    await start(pool, found)
    await escalate(pool)
    async with pool.connection() as conn:
        await conn.execute("alter table outbox add constraint no_notice check (kind <> 'notice')")
    with pytest.raises(Exception, match="no_notice"):
        await announce_once(pool, found, now=NOW)
    async with pool.connection() as conn:
        await conn.execute("alter table outbox drop constraint no_notice")
    assert await announce_once(pool, found, now=NOW) == 1


async def test_rules_choose_by_team_event_and_severity(pool: Pool) -> None:
    """Only urgent ones of one team; shadow decisions and other channels' failed notices are nobody's news."""
    found = settings(None, {"to": "ops", "events": ["escalation"], "teams": ["Payroll"], "severity": "critical"})
    await start(pool, found)
    for group, priority in (("Payroll", "high"), ("Network", "urgent")):
        await escalate(pool, group=group, priority=priority)
    await escalate(pool, group="Payroll", priority="urgent", shadow=True)
    await bury(pool, 2)
    assert await announce_once(pool, found, now=NOW) == 0
    wanted = await escalate(pool, group="Payroll", priority="urgent")
    assert await announce_once(pool, found, now=NOW) == 1
    [only] = await letters(pool)
    assert [line["ticket_id"] for line in only["payload"]["lines"]] == [str(wanted)]


async def test_quiet_hours_hold_back_what_can_wait(pool: Pool) -> None:
    """At night only what is critical; the rest comes together in the morning."""
    quiet = {"from": "22:00", "to": "07:00", "zone": "UTC"}
    found = settings(None, {"to": "ops", "quiet": quiet})
    await start(pool, found)
    for priority in ("normal", "high", "urgent"):
        await escalate(pool, priority=priority)
    assert await announce_once(pool, found, now=NOW) == 1
    await later(pool)
    assert await announce_once(pool, found, now=NOW + timedelta(hours=7)) == 0
    assert await announce_once(pool, found, now=NOW + timedelta(hours=8)) == 1
    night, morning = await letters(pool)
    assert (night["payload"]["severity"], morning["payload"]["title"]) == ("critical", "2 escalations")


@pytest.mark.parametrize(
    ("quiet", "at", "is_held"),
    [
        ({"from": "22:00", "to": "07:00"}, "2026-11-20T22:00:00+00:00", True),
        ({"from": "22:00", "to": "07:00"}, "2026-11-20T21:59:59+00:00", False),
        ({"from": "22:00", "to": "07:00"}, "2026-11-20T07:00:00+00:00", False),
        ({"from": "12:00", "to": "13:00"}, "2026-11-20T12:30:00+00:00", True),
        ({"from": "22:00", "to": "07:00", "zone": "Europe/Berlin"}, "2026-11-20T21:30:00+00:00", True),
        ({"from": "22:00", "to": "07:00", "zone": "Europe/Berlin"}, "2026-07-20T05:30:00+00:00", False),
        ({"days": ["saturday", "sunday"]}, "2026-11-21T12:00:00+00:00", True),
        ({"days": ["saturday", "sunday"]}, "2026-11-20T12:00:00+00:00", False),
        ({"days": ["saturday"], "zone": "Pacific/Auckland"}, "2026-11-20T12:00:00+00:00", True),
    ],
)
def test_quiet_hours_are_those_of_their_zone(quiet: dict[str, Any], at: str, is_held: bool) -> None:
    """Edges, over midnight, summer time, days that begin elsewhere."""
    found = settings(None, {"to": "ops", "quiet": quiet})
    notice = Notice("k", "escalation", Severity.WARNING, NOW, "x")
    assert bool(sort([notice], found.rules, datetime.fromisoformat(at)).later) == is_held


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rules": [{"to": "nobody"}]}, "no channel"),
        ({"rules": []}, "no rule tells ops"),
        ({"rules": [{"to": "ops", "events": ["dead_leter"]}]}, "dead_letter"),
        ({"rules": [{"to": "ops", "quiet": {"from": "22:00"}}]}, "belong together"),
        ({"rules": [{"to": "ops", "quiet": {"days": ["saturday"], "zone": "Mars/One"}}]}, "no time zone"),
        ({"channels": {"ops": {"kind": "slack_webhook", "url": "http://hooks.slack.com/x"}}}, "https"),
        ({"channels": {"ops": {"kind": "pager", "url": "https://x"}}}, "pager"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(change: dict[str, Any], why: str) -> None:
    """With the reason, before the first message."""
    good = {"channels": {"ops": {"kind": "slack_webhook", "url": "https://x"}}, "rules": [{"to": "ops"}]}
    assert NotifySettings.model_validate(good)
    with pytest.raises(ValidationError, match=why):
        NotifySettings.model_validate(good | change)


class Receiver:
    """An address of a company's own that keeps what it gets."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    def app(self) -> Starlette:
        async def take(request: Request) -> Response:
            self.calls.append((dict(request.headers), await request.body()))
            return Response(status_code=self.statuses.pop(0) if self.statuses else 200)

        return Starlette(routes=[Route("/secret-path", take, methods=["POST"])])


async def carry(pool: Pool, found: NotifySettings, http: httpx.AsyncClient) -> None:
    """The outbox as the worker runs it, until nothing is due."""

    async def deliver(letter: Letter) -> str:
        return await tell(found, http, letter)

    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.6, stop.set)
    await outbox.dispatch(pool, deliver, stop=stop, lanes=Lanes([LANE + name for name in found.channels]))


async def test_no_channel_sees_personal_data(pool: Pool, http: httpx.AsyncClient, serve: Serve) -> None:
    """Tickets and vendors' errors full of it: ids, groups and names of errors are all that leaves."""
    slack, teams, receiver = Slack(TOKEN, HOOK_SECRET, frozenset({"C1"})), Teams(SIGNATURE), Receiver()
    async with serve(slack.app()) as slack_url, serve(teams.app()) as teams_url, serve(receiver.app()) as own_url:
        every = {"at_most_every_s": 0}
        channels = {
            "hook": {"kind": "slack_webhook", "url": f"{slack_url}/services/T0001/B0001/{HOOK_SECRET}"},
            "bot": {"kind": "slack_bot", "token": TOKEN, "channel": "C1", "base_url": f"{slack_url}/api"},
            "teams": {"kind": "teams", "url": f"{teams_url}{PATH}?sig={SIGNATURE}"},
            "own": {"kind": "webhook", "url": f"{own_url}/secret-path", "secret": SECRET},
        }
        found = NotifySettings.model_validate(
            {
                "channels": {name: {**channel, **every} for name, channel in channels.items()},
                "rules": [{"to": name} for name in channels],
                "console_url": "https://triage.example.com",
            }
        )
        await start(pool, found)
        ticket = await escalate(pool, priority="urgent")
        await bury(pool, 2, ticket)
        async with pool.connection() as conn:
            await audit.append(conn, audit.Entry("trainer", "model.rejected", "model/m7", {"gates": "macro_f1, ece"}))
        assert await announce_once(pool, found, now=NOW) == 4
        await carry(pool, found, http)
    assert {row["state"] for row in await letters(pool)} == {"sent"}
    headers, body = receiver.calls[0]
    told = TheirWebhook(SECRET).verify(body.decode(), headers)  # another maker's reading of the rules
    assert told["data"]["title"] == "2 dead letters, 1 escalation, 1 model that failed its gates"
    said = [line["what"] for line in told["data"]["lines"]]
    assert said[0] == f"Ticket {ticket} needs a person: Network, confidence 34%, priority urgent."
    assert "Model m7 was trained but not put into service. Gates not passed: macro_f1, ece." in said
    dead = f"A letter to zendesk failed for good (ticket {ticket}): ConnectorRejected. See: pointsman dead-letters list"
    assert dead in said
    message = compose([Notice("k", "escalation", Severity.INFO, NOW, "x")])
    assert len(slack.posted) == 2
    assert (len(teams.posted), teams.unshown) == (1, [])
    everything = json.dumps([slack.posted, teams.posted, body.decode(), message.model_dump(mode="json")])
    assert CANARY not in everything
    assert f"<https://triage.example.com/tickets/{ticket}|Ticket {ticket} needs" in everything


async def test_refusals_and_bad_moments(pool: Pool, http: httpx.AsyncClient, serve: Serve) -> None:
    """503 and 429 wait; a wrong token is a dead letter that says what to check and shows no secret."""
    slack = Slack(TOKEN, HOOK_SECRET, frozenset({"C1"}))
    async with serve(slack.app()) as url:
        bot = {"kind": "slack_bot", "token": TOKEN, "channel": "C1", "base_url": f"{url}/api"}
        wrong = {
            "token": ({**bot, "token": "xoxb-wrong"}, "invalid_auth"),
            "channel": ({**bot, "channel": "C9"}, "channel_not_found"),
            "hook": ({"kind": "slack_webhook", "url": f"{url}/services/T0001/B0001/bad-secret"}, "403"),
        }
        message = compose([Notice("k", "escalation", Severity.INFO, NOW, "x")]).model_dump(mode="json")
        for name, (channel, why) in wrong.items():
            found = NotifySettings.model_validate({"channels": {name: channel}, "rules": [{"to": name}]})
            async with pool.connection() as conn:
                await outbox.put(conn, f"n:{name}", message, kind="notice", ticket_id=None, connector=LANE + name)
            await carry(pool, found, http)
            row = (await letters(pool))[-1]
            assert (row["state"], why in row["last_error"]) == ("dead", True)
            assert not {"xoxb-wrong", "bad-secret", "/services/"} & set(row["last_error"].split())
            assert "bad-secret" not in row["last_error"]
        found = settings(bot)
        letter = Letter(1, "n:ok", "notice", LANE + "ops", None, message, 1)
        for status in (429, 503):
            await http.post(f"{url}/double/faults", json={"kind": "status", "status": status, "retry_after": "30"})
            with pytest.raises(Exception, match=str(status)) as caught:
                await tell(found, http, letter)
            assert (caught.value.retryable, caught.value.retry_after_s) == (True, 30.0)  # ty: ignore[unresolved-attribute]
        assert await tell(found, http, letter) == "told"


async def test_the_double_is_held_to_slacks_own_client(serve: Serve) -> None:
    """slack_sdk posts to it as to Slack, and what we post is what it accepts."""
    slack = Slack(TOKEN, HOOK_SECRET, frozenset({"C1"}))
    content = slack_content(
        compose([Notice("k", "escalation", Severity.CRITICAL, NOW, "x <!channel> & y")]), "https://c"
    )
    assert "<!channel>" not in json.dumps(content)
    async with serve(slack.app()) as url:

        def drive() -> None:
            client = WebClient(token=TOKEN, base_url=f"{url}/api/")
            assert client.chat_postMessage(channel="C1", **content)["ok"] is True
            with pytest.raises(SlackApiError, match="channel_not_found"):
                client.chat_postMessage(channel="C2", text="x")
            with pytest.raises(SlackApiError, match="invalid_auth"):
                WebClient(token="xoxb-other", base_url=f"{url}/api/").chat_postMessage(channel="C1", text="x")
            hook = WebhookClient(f"{url}/services/T0001/B0001/{HOOK_SECRET}")
            assert (hook.send(**content).status_code, hook.send(text="").body) == (200, "no_text")
            assert WebhookClient(f"{url}/services/T0001/B0001/no").send(text="x").status_code == 403

        await asyncio.to_thread(drive)
    assert [post["text"] for post in slack.posted] == [content["text"]] * 2


def test_a_full_message_fits_every_channel() -> None:
    """Ten lines of the longest kind: below Slack's 3,000 characters and Teams' 28 KB; nothing in it is markup."""
    long = [Notice(f"k{n}", "escalation", Severity.INFO, NOW, f"[x](https://evil) *{'ü' * 400}*") for n in range(5_000)]
    message = compose(long)
    block = slack_content(message, "https://triage.example.com")["blocks"][0]["text"]["text"]
    assert len(block) <= 3_000
    assert "and 4,990 more" in block
    card = teams_content(message, "https://triage.example.com")
    assert len(json.dumps(card).encode()) < 28 * 1024
    assert "\\[x\\]\\(https://evil\\)" in json.dumps(card["attachments"][0]["content"], ensure_ascii=False).replace(
        "\\\\", "\\"
    )


def test_a_mail_sent_twice_is_the_same_mail() -> None:
    """Message-ID from the key; marked as automatic, so that no out-of-office answers; no header can be injected."""
    smtp = {"host": "127.0.0.1", "security": "none", "sender": "pm@example.com"}
    found = settings({"kind": "email", "to": ["team@example.com"], "smtp": smtp}).channels["ops"]
    message = compose([Notice("k", "escalation", Severity.INFO, NOW, "Ticket 1\r\nBcc: all@example.com")])
    made: list[EmailMessage] = [mail(found, message, "notice:ops:12ab", "https://c") for _ in range(2)]  # ty: ignore[invalid-argument-type]
    assert {one["Message-ID"] for one in made} == {"<notice.ops.12ab@example.com>"}
    assert (made[0]["Auto-Submitted"], made[0]["Bcc"]) == ("auto-generated", None)
