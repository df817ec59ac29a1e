"""An answer to an incident, as the console's form sends it."""

import httpx
import psycopg

from tests.services.gateway.conftest import Keys

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
INCIDENT = "insert into incidents (expected, p, grown_at) values (0.4, 1e-7, now())"


async def test_an_incident_that_there_is_not_is_not_another_persons(
    gateway: httpx.AsyncClient, database: str, keys: Keys
) -> None:
    """Somebody was first only where there is one; the second answer is no 404."""
    with psycopg.connect(database) as conn:
        conn.execute(INCIDENT)
    await gateway.post("/login", data={"key": keys.agent}, headers=SAME_ORIGIN)

    async def answer(number: int) -> httpx.Response:
        form = {"incident": str(number), "verdict": "confirmed"}
        return await gateway.post("/incidents", data=form, headers=SAME_ORIGIN)

    none = await answer(4711)
    assert (none.status_code, "There is no incident 4711." in none.text) == (404, True)
    assert "somebody was first" not in none.text
    assert "Incident 1 is confirmed." in (await answer(1)).text
    second = await answer(1)
    assert (second.status_code, "somebody was first" in second.text) == (409, True)
