"""What may be configured about the conversations."""

from pathlib import Path

from pydantic import Field

from services.core.answer.gate import CALIBRATION_FILE, Mode
from services.core.connectors.registry import ConnectorsSettings
from services.core.kit.settings import PlatformSettings
from services.core.llm.config import LlmConfig
from services.rag.channels.bot_framework import BotSettings
from services.rag.mail import MailSettings


class RagSettings(PlatformSettings):
    """
    `rag_public` lets anybody open a conversation, as a chat page needs it; they see documents for everybody only.
    Without it, opening one takes an API key, whose holder may name the person's groups.

    `rag_connector` gets the tickets of conversations that a person takes over; whose they might be the router at
    `router_url` says. `rag_index_cases` answers later questions from what agents resolved, redacted, for the
    conversation's own audience; `rag_approve_cases` asks a person first. `rag_mail` writes hand-overs to teams.

    `rag_sessions_per_minute` bounds what one address opens without a key, `rag_messages_per_minute` what is said in one
    conversation, `rag_caller_messages_per_minute` what one address says in all of them, and, where it is a vendor's,
    `rag_channel_messages_per_minute` what comes by a channel; what one call may cost is bounded by the same names as at
    the gateway. `rag_threads` compute beside the event loop.

    `rag_reranker` is the folder of a cross-encoder in ONNX that puts the thirty best passages into order; without one
    they stay as they were found. A gate for it is calibrated with it.

    `rag_drafts` drafts replies for agents on assigned tickets, from documents for everybody and for `rag_draft_groups`;
    in `shadow`, as everywhere, nothing is written to the ticketing system.

    `rag_gaps_s`: how often the console's knowledge gaps are made anew. `rag_bot` is for the Bot Framework.

    `llm.answer` names a language model that words answers; where it fails, they are the documents' own words, or a
    person's with `rag_falls_back` off.
    """

    rag_host: str = "127.0.0.1"
    rag_port: int = Field(default=8084, ge=1, le=65535)
    rag_pool_size: int = Field(default=8, ge=2)
    rag_mode: Mode = Mode.STANDARD
    rag_calibration: Path = CALIBRATION_FILE
    rag_reranker: Path | None = None
    rag_public: bool = False
    rag_connector: str = "desk"
    rag_ticket_group: str | None = None
    rag_index_cases: bool = False
    rag_approve_cases: bool = False
    rag_poll_s: float = Field(default=5.0, gt=0)
    rag_origins: tuple[str, ...] = ()
    rag_sessions_per_minute: int = Field(default=60, ge=1)
    rag_messages_per_minute: int = Field(default=20, ge=1)
    rag_caller_messages_per_minute: int = Field(default=300, ge=1)
    rag_channel_messages_per_minute: int = Field(default=3_000, ge=1)
    rag_threads: int = Field(default=2, ge=1)
    max_body_bytes: int = Field(default=131_072, ge=1024)  # the longest message, each character escaped
    body_timeout_s: float = Field(default=15, gt=0)
    head_timeout_s: float = Field(default=10, gt=0)
    connections_max: int = Field(default=1_000, ge=1)
    trusted_proxies: tuple[str, ...] = ()
    failed_sign_ins_per_minute: int = Field(default=30, ge=1)
    router_url: str = "http://127.0.0.1:8081"
    router_timeout_s: float = Field(default=5.0, gt=0)
    rag_falls_back: bool = True
    rag_gaps_s: float = Field(default=3_600, gt=0)
    rag_bot: BotSettings = BotSettings()
    rag_drafts: bool = False
    rag_draft_groups: tuple[str, ...] = ()
    shadow: bool = False
    rag_mail: MailSettings | None = None
    llm: LlmConfig = LlmConfig()
    connectors: ConnectorsSettings = ConnectorsSettings()
