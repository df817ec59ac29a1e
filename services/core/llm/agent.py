"""
One question to one model: asked in a structure, repaired a bounded number of times, billed, errors in our words.

A vendor that is down is `LlmUnavailable`: the step tries again later. One that refuses us is `ConfigurationInvalid`.
An answer that cannot be used is `NoUsableAnswer`, an expected outcome that the callers turn into the fallback.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.core.kit.errors import ConfigurationInvalid, LlmUnavailable
from services.core.llm.breaker import Breaker
from services.core.llm.config import LlmConfig, ModelPrice
from services.core.llm.port import Outcome, Usage
from services.core.llm.prices import cost_usd
from services.core.llm.prompt import Prompt
from services.core.llm.providers import Provided

Draft = TypeVar("Draft")
DETAIL_MAX_CHARS = 200


@dataclass(frozen=True)
class NoUsableAnswer:
    """The model answered, but not in a form that fits; `why` may be shown to a person."""

    why: str


@dataclass(frozen=True)
class Ask(Generic[Draft]):
    """`check` returns what is wrong with a well-formed answer, or None; the model is told and asked again."""

    prompt: Prompt
    output_type: type[Draft]
    check: Callable[[Draft], str | None] = lambda _: None


@dataclass(frozen=True)
class Asker:
    """A configured model with its limits and its price; safe to share between tasks of one event loop."""

    model: str
    provided: Provided
    config: LlmConfig
    price: ModelPrice | None
    breaker: Breaker

    async def ask(self, question: Ask[Draft]) -> tuple[Draft | NoUsableAnswer, Usage]:
        """
        The answer, or why there is none, with the bill for every attempt.

        Raises:
            LlmUnavailable: timeout, 429, 5xx, no connection, or the breaker is open.
            ConfigurationInvalid: the vendor does not know the model or refuses our credentials.
        """
        from pydantic_ai.usage import RunUsage

        begin, spent = time.perf_counter(), RunUsage()
        draft = await self.breaker.call(lambda: self._translated(question, spent))
        outcome: Outcome = "fallback" if isinstance(draft, NoUsableAnswer) else "answered"
        return draft, Usage(
            model=self.model,
            prompt_version=question.prompt.version,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            usd=cost_usd(self.price, input_tokens=spent.input_tokens, output_tokens=spent.output_tokens),
            latency_ms=(time.perf_counter() - begin) * 1000,
            repairs=max(spent.requests - 1, 0),
            outcome=outcome,
            why=draft.why if isinstance(draft, NoUsableAnswer) else "",
        )

    async def _translated(self, question: Ask[Draft], spent: Any) -> Draft | NoUsableAnswer:
        from pydantic_ai import capture_run_messages
        from pydantic_ai import exceptions as vendor

        try:
            with capture_run_messages() as said:
                return await self._run(question, spent)
        except (vendor.ModelAuthenticationError, vendor.ModelNotFoundError) as exc:
            raise ConfigurationInvalid(f"{self.model}: refused ({_detail(exc)}). Check name, key and role.") from exc
        except self.provided.credential_errors as exc:
            raise ConfigurationInvalid(
                f"{self.model}: no credentials ({_detail(exc)}). Give the workload a role."
            ) from exc
        except vendor.ModelRequestRejectedError as exc:
            return NoUsableAnswer(f"the model's provider rejected the request ({_detail(exc)})")
        except vendor.ModelAPIError as exc:
            raise LlmUnavailable(f"{self.model}: {_detail(exc)}", retry_after_s=exc.retry_after) from exc
        except vendor.ContentFilterError:
            return NoUsableAnswer("the model's content filter stopped the answer")
        except vendor.UnexpectedModelBehavior:
            return NoUsableAnswer(f"{_fault(said)} after {self.config.max_repairs} repairs")

    async def _run(self, question: Ask[Draft], spent: Any) -> Draft:
        from pydantic_ai import Agent, ModelRetry

        def checked(draft: Any) -> Any:
            wrong = question.check(draft)
            if wrong is not None:
                raise ModelRetry(wrong)
            return draft

        agent: Agent[Any, Any] = Agent(
            self.provided.model,
            output_type=self.provided.as_output(question.output_type),
            instructions=question.prompt.instructions,
            retries={"output": self.config.max_repairs},
            model_settings=self._settings(),
        )
        agent.output_validator(checked)
        return (await agent.run(question.prompt.message, usage=spent)).output

    def _settings(self) -> Any:
        limits = {"max_tokens": self.config.max_output_tokens, "request_timeout": self.config.timeout_s}
        return {**limits, **self.provided.settings}


def _fault(said: Sequence[Any]) -> str:
    """What is wrong with the last answer of a run; nothing of its words."""
    answers = [message.parts for message in said if message.kind == "response"]
    if not answers:
        return "what answered was no model (a proxy's page?)"
    parts = [part for part in answers[-1] if part.part_kind in ("text", "tool-call") and part.has_content()]
    if not parts:
        return "the model's answer was empty"
    is_page = any(part.part_kind == "text" and part.content.lstrip().startswith("<") for part in parts)
    return "the model's answer was HTML" if is_page else "the model's answer did not fit"


def _detail(error: Exception) -> str:
    """The kind and status of a vendor's error; never its body, which may quote the prompt."""
    status = getattr(error, "status_code", None)
    name = type(error).__name__.removeprefix("_HTTP")
    return f"{name}, HTTP {status}" if status else name[:DETAIL_MAX_CHARS]
