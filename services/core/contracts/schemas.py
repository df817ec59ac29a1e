"""Writes each contract's JSON Schema: `python -m services.core.contracts.schemas [FOLDER]` (`make contracts`)."""

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from services.core.contracts.decision import Decision, Triaged
from services.core.contracts.delivery import Delivery
from services.core.contracts.document import Document, Evidence
from services.core.contracts.events import Event
from services.core.contracts.prediction import Prediction
from services.core.contracts.priority import PriorityAnswer, PriorityQuestion, SummaryAnswer, SummaryQuestion
from services.core.contracts.ticket import NewTicket, Ticket, TicketUpdate

FOLDER = Path("design/contracts")
DIALECT = "https://json-schema.org/draft/2020-12/schema"

CONTRACTS: dict[str, type[BaseModel]] = {
    "ticket": Ticket,
    "ticket-update": TicketUpdate,
    "new-ticket": NewTicket,
    "delivery": Delivery,
    "prediction": Prediction,
    "decision": Decision,
    "triaged": Triaged,
    "document": Document,
    "evidence": Evidence,
    "event": Event,
    "priority-question": PriorityQuestion,
    "priority-answer": PriorityAnswer,
    "summary-question": SummaryQuestion,
    "summary-answer": SummaryAnswer,
}


def schema_text(name: str) -> str:
    """The contract's JSON Schema (2020-12), as the file has it."""
    schema = {"$schema": DIALECT, **CONTRACTS[name].model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> list[Path]:
    """Writes `<name>.schema.json` for every contract; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in CONTRACTS:
        files.append(folder / f"{name}.schema.json")
        files[-1].write_text(schema_text(name), "utf-8")
    return files


if __name__ == "__main__":
    written = write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
    sys.stdout.write("".join(f"{file}\n" for file in written))
