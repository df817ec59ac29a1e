"""The hourly test ticket: once an hour, whatever happens in between."""

from datetime import UTC, datetime

from services.local.demo import send_hour
from services.local.home import Home
from tests.conftest import free_port
from tests.platform import Platform

AT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def test_the_hours_ticket_is_opened_once_and_survives_a_gateway_that_is_away(platform: Platform) -> None:
    """A failed call is said, not raised; the next one delivers the same ticket; a third one changes nothing."""
    unheard = Home(platform.home.settings.model_copy(update={"gateway_port": free_port()}))
    said: list[str] = []
    assert not send_hour(unheard, AT, said.append)
    assert "was not sent (ConnectError" in said[0]
    assert send_hour(platform.home, AT, said.append)
    assert send_hour(platform.home, AT.replace(minute=50), said.append)
    assert len(said) == 1
    opened = platform.rows("select id from desk_tickets where metadata ->> 'mock' = 'T2026112008'")
    assert len(opened) == 1
    taken = platform.rows("select 1 from tickets where connector = 'desk' and external_id = %s", str(opened[0]["id"]))
    assert len(taken) == 1


def test_a_database_that_is_away_does_not_end_the_platform(platform: Platform) -> None:
    """Said, and tried again later."""
    elsewhere = Home(platform.home.settings.model_copy(update={"postgres_port": free_port()}))
    said: list[str] = []
    assert not send_hour(elsewhere, AT, said.append)
    assert "tried again" in said[0]
