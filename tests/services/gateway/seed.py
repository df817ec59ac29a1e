"""Tickets for the console's tests: taken in as the gateway does it, decided as the worker records it."""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from services.core.contracts.decision import Decision
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.prediction import Band, ScoredGroup
from services.core.contracts.ticket import Priority, Ticket
from services.core.kit.intake import ingest
from services.core.text.redact import Redacted
from services.worker import repository as worker

GROUPS = {
    "Identity & Access": "Accounts, passwords and roles.",
    "Network & VPN": "Remote access, WLAN and firewalls.",
    "Workplace Hardware": "Laptops, monitors and printers.",
}


def decision(group: str | None = "Network & VPN", **change: Any) -> Decision:
    """A decision that a person must review; a test changes what it is about."""
    usual: dict[str, Any] = {
        "ticket_id": "0",
        "group": group,
        "confidence": 0.62,
        "similarity": 0.71,
        "band": Band.HUMAN_REVIEW,
        "top3": (
            ScoredGroup(group="Network & VPN", probability=0.62),
            ScoredGroup(group="Identity & Access", probability=0.3),
            ScoredGroup(group="Workplace Hardware", probability=0.08),
        ),
        "priority": Priority.HIGH,
        "priority_reason": "impact medium (team), urgency high (today)",
        "priority_by": "extractive",
        "reason": "Confidence 0.62 is below 0.80, needed for 'Network & VPN'.",
        "model_version": "20261120-a1b2c3",
        "latency_ms": 412.0,
    }
    return Decision(**usual | change)


def ticket(external_id: str = "A-1", **change: Any) -> Ticket:
    usual: dict[str, Any] = {
        "connector": "generic",
        "subject": "VPN drops",
        "body": "Since <DATE_TIME_1> the VPN drops. Regards, <PERSON_1>",
    }
    return Ticket(external_id=external_id, **usual | change)


def add_groups(database: str) -> None:
    with psycopg.connect(database) as conn, conn.cursor() as cursor:
        cursor.executemany(
            "insert into catalogue (kind, name, description, rank) values ('group', %s, %s, %s)",
            [(name, about, rank) for rank, (name, about) in enumerate(GROUPS.items())],
        )


async def take_in(database: str, pairs: Iterable[tuple[Ticket, Decision | None]]) -> list[int]:
    """The ids of the tickets; each lies redacted, and decided where it comes with a decision."""
    ids = []
    async with await psycopg.AsyncConnection[DictRow].connect(database, autocommit=True, row_factory=dict_row) as conn:
        for arrived, decided in pairs:
            delivery = Delivery(
                connector=arrived.connector,
                delivery_id=f"d-{arrived.external_id}",
                kind=DeliveryKind.CREATED,
                external_id=arrived.external_id,
                ticket=arrived,
            )
            done = await ingest(conn, delivery, body_sha256="0" * 64)
            assert done.ticket_id is not None
            ids.append(done.ticket_id)
            if decided is None:
                continue
            safe = Redacted({"subject": arrived.subject, "body": arrived.body}, {})
            await worker.store_redacted(conn, done.ticket_id, arrived, safe, known=arrived)
            numbered = decided.model_copy(update={"ticket_id": str(done.ticket_id)})
            await worker.record(conn, numbered, f"new:{done.ticket_id}")
    return ids
