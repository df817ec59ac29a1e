"""What may be configured about language models: a model per task, an endpoint per provider, limits, prices."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MODEL_PATTERN = r"^(extractive|(openai|azure|bedrock|vertex):\S{1,200})$"
ModelName = Annotated[str, Field(pattern=MODEL_PATTERN, examples=["extractive", "openai:qwen3", "azure:my-deployment"])]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Endpoint(_Frozen):
    """
    Where a provider answers. Without a key the workload's own identity is used (openai excepted).

    `redaction`: `strict` also hides what is neither a word, a technical term nor a mere number, for a destination
    outside the account; `standard` is for a model of your own.
    """

    base_url: str | None = None
    api_key: SecretStr | None = None
    region: str | None = None
    project: str | None = None
    redaction: Literal["standard", "strict"] = "strict"


class ModelPrice(_Frozen):
    """List price in USD per million tokens."""

    usd_per_mtok_in: Decimal = Field(ge=0)
    usd_per_mtok_out: Decimal = Field(ge=0)


class LlmConfig(_Frozen):
    """
    `priority`, `summary` and `answer` (conversations) name a model each: `extractive`, `openai:NAME` (any
    OpenAI-compatible server), `azure:DEPLOYMENT`, `bedrock:us.amazon.nova-micro-v1:0`, `vertex:gemini-3.5-flash-lite`.

    `prices` adds to or replaces the shipped list, by the same names. `budget_usd_per_day` holds per UTC day, for all
    tasks; `tokens_per_day`, `tokens_per_conversation` and `budget_usd_per_conversation` for conversations, in and out.
    """

    priority: ModelName = "extractive"
    summary: ModelName = "extractive"
    answer: ModelName = "extractive"
    openai: Endpoint = Endpoint()
    azure: Endpoint = Endpoint()
    bedrock: Endpoint = Endpoint()
    vertex: Endpoint = Endpoint()
    timeout_s: float = Field(
        default=20.0, gt=0, le=300
    )  # small models answer in 1-3 s; a ticket can wait, a worker not
    max_repairs: int = Field(default=2, ge=0, le=5)
    max_input_chars: int = Field(default=24_000, ge=500)  # about 6,000 tokens: fits an 8k window with the answer
    max_output_tokens: int = Field(default=2_000, ge=100)  # a reasoning model thinks within it
    breaker_failures: int = Field(default=5, ge=1)
    breaker_rest_s: float = Field(default=30.0, gt=0)
    budget_usd_per_day: Decimal | None = Field(default=None, ge=0)
    budget_usd_per_conversation: Decimal | None = Field(default=None, ge=0)
    tokens_per_day: int | None = Field(default=None, ge=0)
    tokens_per_conversation: int = Field(default=50_000, ge=0)  # some 15 answers from five passages each
    prices: dict[str, ModelPrice] = Field(default_factory=dict)
