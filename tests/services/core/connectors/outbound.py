"""Every claim about `write` and `open`, as far as the connector says that its system can."""

import asyncio
import contextlib
from datetime import timedelta

import pytest

from services.core.connectors.hearing import OWN_ACTOR
from services.core.connectors.polling import Position
from services.core.connectors.port import Can
from services.core.contracts.ticket import Priority
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, NotFound, PointsmanError
from tests.services.core.connectors.conformance import (
    FAULTS,
    HANDED_OVER,
    System,
    handed_over,
    later,
    letter,
    needs,
    notes,
    seen_now,
    shown,
)
from tests.services.core.connectors.polling import changes, now_there


class Outbound:
    """What becomes of a letter, and of a ticket that we open."""

    async def test_a_write_takes_effect(self, system: System) -> None:
        """And says so, and shows."""
        external_id = await system.open_ticket()
        result = await system.connector.write(letter(external_id))
        assert result.status == "written"
        assert await notes(system, external_id) == ["because"]
        if Can.FETCH in system.connector.can:
            ticket = await shown(system, external_id)
            assert (ticket.group, ticket.priority) == ("Billing", Priority.HIGH)
            assert [comment.public for comment in ticket.comments] == [False] * (Can.NOTES in system.connector.can)

    async def test_our_own_note_is_known_as_ours(self, system: System) -> None:
        """Else we would summarise ourselves."""
        needs(system, Can.FETCH, Can.NOTES)
        external_id = await system.open_ticket()
        await system.connector.write(letter(external_id))
        assert [comment.author_id for comment in (await shown(system, external_id)).comments] == [OWN_ACTOR]

    async def test_a_field_that_is_none_stays(self, system: System) -> None:
        """A note alone moves nothing."""
        needs(system, Can.FETCH, Can.FIELDS)
        external_id = await system.open_ticket()
        await system.person_changes(external_id, group="Support", priority="low")
        await system.connector.write(letter(external_id, group=None, priority=None, tags=()))
        ticket = await shown(system, external_id)
        assert (ticket.group, ticket.priority) == ("Support", Priority.LOW)

    async def test_each_priority_comes_back(self, system: System) -> None:
        """As it was written, or, where two of ours are one word there, as the higher of them."""
        needs(system, Can.FETCH, Can.FIELDS)
        external_id, ours, found = await system.open_ticket(), list(Priority), []
        for priority in ours:
            given = {"key": f"{external_id}/{priority}", "group": None, "note": None, "tags": ()}
            result = await system.connector.write(letter(external_id, **given, priority=priority))
            assert result.status == "written"
            found.append((await shown(system, external_id)).priority)
        assert found == [system.connector.priorities.shown(priority) for priority in ours]
        assert all(
            read is not None and ours.index(read) >= ours.index(wrote) for read, wrote in zip(found, ours, strict=True)
        )
        assert found[0] != found[-1], "low and urgent are one to this system: then it has no priorities"

    async def test_our_tags_show(self, system: System) -> None:
        """Where the system has tags; the tag of a second letter joins that of the first."""
        needs(system, Can.TAGS)
        external_id = await system.open_ticket()
        await system.connector.write(letter(external_id))
        await system.connector.write(letter(external_id, key="k2", tags=("solved-by-us",)))
        assert {"routed", "solved-by-us"} <= set((await shown(system, external_id)).tags)

    async def test_the_same_key_again_has_no_second_effect(self, system: System) -> None:
        """However often, and with whatever content."""
        external_id = await system.open_ticket()
        await system.connector.write(letter(external_id))
        again = [await system.connector.write(letter(external_id, note=note)) for note in ("because", "other")]
        assert {result.status for result in again} == {"already"}
        assert await notes(system, external_id) == ["because"]

    async def test_another_key_has_its_own_effect(self, system: System) -> None:
        """Two stages of one ticket both write."""
        external_id = await system.open_ticket()
        await system.connector.write(letter(external_id))
        second = await system.connector.write(letter(external_id, key="k2", note="summary"))
        assert second.status == "written"
        assert await notes(system, external_id) == ["because", "summary"]

    async def test_five_at_once_have_one_effect(self, system: System) -> None:
        """Five tasks of a worker with one update: one writes, the others find it done."""
        external_id = await system.open_ticket()
        results = await asyncio.gather(*(system.connector.write(letter(external_id)) for _ in range(5)))
        assert sorted(result.status for result in results) == ["already"] * 4 + ["written"]
        assert await notes(system, external_id) == ["because"]

    async def test_two_instances_at_once_have_one_effect(self, system: System) -> None:
        """Two workers with one letter, where the system itself can tell them apart."""
        needs(system, Can.GUARDED)
        external_id = await system.open_ticket()
        two = (system.connector, system.another())
        results = await asyncio.gather(*(two[n % 2].write(letter(external_id)) for n in range(4)))
        assert sorted(result.status for result in results) == ["already"] * 3 + ["written"]
        assert await notes(system, external_id) == ["because"]

    async def test_two_instances_with_letters_of_their_own_disturb_nobody(self, system: System) -> None:
        """Two workers, two letters, one ticket, one moment: both take effect once."""
        external_id = await system.open_ticket()
        letters = [letter(external_id, key=f"k{n}", note=f"n{n}", tags=()) for n in range(2)]
        two = (system.connector, system.another())
        results = await asyncio.gather(*(one.write(letter) for one, letter in zip(two, letters, strict=True)))
        assert [result.status for result in results] == ["written", "written"]
        assert sorted(await notes(system, external_id)) == ["n0", "n1"]

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_fault_then_a_retry_has_one_effect(self, system: System, fault: str) -> None:
        """Refused for now, broken off, or done but never answered: the retry leaves exactly one effect."""
        if fault not in system.faults:
            pytest.skip(f"this system has no {fault}")
        external_id = await system.open_ticket()
        await system.fail_next_write(fault)
        is_struck = False
        while not is_struck:  # on a busy machine an earlier call may time out
            with pytest.raises(ConnectorUnavailable) as caught:
                await system.connector.write(letter(external_id))
            is_struck = await system.is_struck()
        assert caught.value.retryable
        if fault == "rate_limited":
            assert caught.value.retry_after_s == 7
        retried = await system.another().write(letter(external_id))
        is_done = fault.endswith("after_effect") and Can.ATOMIC in system.connector.can
        assert retried.status == ("already" if is_done else "written")
        assert await notes(system, external_id) == ["because"]

    @pytest.mark.parametrize("call", [0, 1, 2])
    async def test_killed_between_its_calls_another_worker_completes_it(self, system: System, call: int) -> None:
        """The worker dies when the system has carried out this call and not answered: nothing is lost or doubled."""
        if "hang_after_effect" not in system.faults:
            pytest.skip("this system has no hang_after_effect")
        external_id = await system.open_ticket()
        await system.fail_next_write("hang_after_effect", skip=call)
        writing = asyncio.create_task(system.connector.write(letter(external_id)))
        while not (await system.is_struck() or writing.done()):  # noqa: ASYNC110  maybe another process
            await asyncio.sleep(0.01)
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError, PointsmanError):
            await writing
        if not await system.is_struck():
            pytest.skip(f"this connector makes no more than {call} calls that change something")
        assert (await system.another().write(letter(external_id))).status in ("written", "already")
        assert await notes(system, external_id) == ["because"]
        if Can.FETCH in system.connector.can:
            ticket = await shown(system, external_id)
            assert (ticket.group, ticket.priority) == ("Billing", Priority.HIGH)

    @pytest.mark.parametrize(("field", "value"), [("group", "Support"), ("priority", "low")])
    async def test_what_a_person_has_changed_stands(self, system: System, field: str, value: str) -> None:
        """That field alone: the rest of the letter is written, and result and note say what was left and why."""
        needs(system, Can.FIELDS)
        external_id = await system.open_ticket()
        seen = await seen_now(system, external_id)
        await system.person_changes(external_id, **{field: value})
        result = await system.connector.write(letter(external_id, seen=seen))
        assert (result.status, value in result.why) == ("written", True)
        ticket, wanted = await shown(system, external_id), {"group": "Billing", "priority": "high"}
        assert {name: getattr(ticket, name) for name in wanted} == wanted | {field: value}
        [note] = await notes(system, external_id)
        assert (value in note, "because" in note) == (True, True)

    async def test_a_person_who_has_changed_all_of_it_supersedes_it(self, system: System) -> None:
        """Nothing is left to write, so nothing is noted either."""
        needs(system, Can.FIELDS)
        external_id = await system.open_ticket()
        seen = await seen_now(system, external_id)
        await system.person_changes(external_id, group="Support", priority="low")
        result = await system.connector.write(letter(external_id, seen=seen))
        assert result.status == "superseded"
        assert ("Support" in result.why, "low" in result.why) == (True, True)
        ticket = await shown(system, external_id)
        assert (ticket.group, ticket.priority) == ("Support", Priority.LOW)
        assert await notes(system, external_id) == []

    async def test_a_call_for_a_person_is_heard_whatever_they_changed(self, system: System) -> None:
        """An escalation names no group: its note is written beside their priority."""
        needs(system, Can.FIELDS)
        external_id = await system.open_ticket()
        seen = await seen_now(system, external_id)
        await system.person_changes(external_id, priority="low")
        assert (await system.connector.write(letter(external_id, seen=seen, group=None))).status == "written"
        assert (await shown(system, external_id)).priority == Priority.LOW
        assert len(await notes(system, external_id)) == 1

    async def test_what_a_person_has_solved_stays_as_it_is(self, system: System) -> None:
        """Nothing is routed that is done."""
        needs(system, Can.FIELDS)
        external_id = await system.open_ticket()
        seen = await seen_now(system, external_id)
        await system.person_changes(external_id, status="solved")
        assert (await system.connector.write(letter(external_id, seen=seen))).status == "superseded"
        assert (await shown(system, external_id)).group is None

    async def test_a_persons_comment_supersedes_nothing(self, system: System) -> None:
        """It moves the stamp, not the decision."""
        external_id = await system.open_ticket()
        seen = await seen_now(system, external_id)
        await system.person_changes(external_id, comment="I am looking into it")
        assert (await system.connector.write(letter(external_id, seen=seen))).status == "written"
        assert (await shown(system, external_id)).group == "Billing"

    async def test_a_person_who_did_the_same_is_no_conflict(self, system: System) -> None:
        """The group is where we wanted it: the rest and the note are written."""
        needs(system, Can.FIELDS)
        external_id = await system.open_ticket()
        seen = await seen_now(system, external_id)
        await system.person_changes(external_id, group="Billing")
        assert (await system.connector.write(letter(external_id, seen=seen))).status == "written"
        assert await notes(system, external_id) == ["because"]

    async def test_a_note_alone_is_never_superseded(self, system: System) -> None:
        """It changes nothing of theirs."""
        needs(system, Can.FIELDS)
        external_id = await system.open_ticket()
        seen = await seen_now(system, external_id)
        await system.person_changes(external_id, group="Support", priority="low")
        note = letter(external_id, seen=seen, group=None, priority=None)
        assert (await system.connector.write(note)).status == "written"
        assert await notes(system, external_id) == ["because"]

    async def test_a_group_that_is_not_there_is_refused_for_good(self, system: System) -> None:
        """And nothing is written."""
        needs(system, Can.GROUPS)
        external_id = await system.open_ticket()
        with pytest.raises(ConnectorRejected, match=r"'Blling'") as caught:
            await system.connector.write(letter(external_id, group="Blling"))
        assert not caught.value.retryable
        assert await notes(system, external_id) == []

    async def test_a_ticket_that_is_not_there_is_final(self, system: System) -> None:
        """Fetching says NotFound, writing is refused: neither is tried again."""
        needs(system, Can.FETCH)
        with pytest.raises((NotFound, ConnectorRejected)):
            await system.connector.fetch("999999999")
        with pytest.raises(ConnectorRejected):
            await system.connector.write(letter("999999999"))

    async def test_a_ticket_is_opened_once_per_key(self, system: System) -> None:
        """A conversation handed over: the transcript to read, the note for agents alone."""
        needs(system, Can.OPEN)
        first = await system.connector.open(HANDED_OVER)
        later(system, system.connector.finds_after_s)
        again = await system.another().open(HANDED_OVER)
        assert first.external_id == again.external_id
        assert await notes(system, first.external_id) == ["asked for a person"]
        if Can.FETCH in system.connector.can:
            ticket = await shown(system, first.external_id)
            assert (ticket.subject, ticket.body) == (HANDED_OVER.subject, HANDED_OVER.body)
            assert all(not comment.public for comment in ticket.comments)

    async def test_opened_and_never_answered_it_is_not_opened_again(self, system: System) -> None:
        """Whoever made the call waits until the search must show it; from then on everybody finds it: one ticket."""
        needs(system, Can.OPEN)
        if "break_after_effect" not in system.faults:
            pytest.skip("this system has no break_after_effect")
        new, ours, begun = handed_over(), system.connector, now_there(system)
        await system.open_ticket()  # not to be alone in a list that shows every other one late
        await system.fail_next_write("break_after_effect")
        with pytest.raises(ConnectorUnavailable):
            await ours.open(new)
        with contextlib.suppress(ConnectorUnavailable):  # it may wait for the search
            await ours.open(new)
        later(system, ours.finds_after_s)
        opened = await system.another().open(new)
        assert opened.was_known, "`finds_after_s` is over, and `find` does not find what `create` made"
        needs(system, Can.POLL)
        rows = await changes(system, Position(begun - timedelta(seconds=2)))
        assert {row.ticket.external_id for row in rows if row.ticket.subject == new.subject} <= {opened.external_id}
