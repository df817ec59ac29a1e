"""Builds the prioritiser, the summariser and the answerer that the configuration names."""

from dataclasses import dataclass

from services.core.kit.errors import ConfigurationInvalid
from services.core.llm.agent import Asker
from services.core.llm.answerer import Answerer
from services.core.llm.breaker import Breaker
from services.core.llm.config import Endpoint, LlmConfig
from services.core.llm.discreet import DiscreetPrioritiser, DiscreetSummariser
from services.core.llm.extractive import NAME as EXTRACTIVE
from services.core.llm.extractive import Extractive
from services.core.llm.port import Prioritiser, Summariser
from services.core.llm.prices import price_of
from services.core.llm.prompted import PromptedPrioritiser, PromptedSummariser
from services.core.llm.providers import build_model
from services.core.llm.redaction import Redaction


@dataclass(frozen=True)
class Llm:
    prioritiser: Prioritiser
    summariser: Summariser


def build_llm(config: LlmConfig) -> Llm:
    """
    Both tasks, ready to be asked. Nothing is sent yet; the extractive default imports no vendor's library.

    Raises:
        ConfigurationInvalid: a provider lacks what it needs, or a budget is set for a model without a price.
    """
    askers = {name: _asker(name, config) for name in {config.priority, config.summary} - {EXTRACTIVE}}
    priority, summary = askers.get(config.priority), askers.get(config.summary)
    return Llm(
        _prioritiser(priority, config) if priority else Extractive(),
        _summariser(summary, config) if summary else Extractive(),
    )


def build_answerer(config: LlmConfig, redaction: Redaction) -> Answerer | None:
    """The model that words answers of conversations; None: they are the documents' own words. Raises as above."""
    if config.answer == EXTRACTIVE:
        return None
    return Answerer(_asker(config.answer, config), redaction, is_strict(config.answer, config))


def is_strict(name: str, config: LlmConfig) -> bool:
    """Anything but a `standard` that somebody chose."""
    endpoint: Endpoint = getattr(config, name.partition(":")[0])
    return endpoint.redaction != "standard"


def _prioritiser(asker: Asker, config: LlmConfig) -> Prioritiser:
    prompted = PromptedPrioritiser(asker)
    return DiscreetPrioritiser(prompted) if is_strict(asker.model, config) else prompted


def _summariser(asker: Asker, config: LlmConfig) -> Summariser:
    prompted = PromptedSummariser(asker)
    return DiscreetSummariser(prompted) if is_strict(asker.model, config) else prompted


def _asker(name: str, config: LlmConfig) -> Asker:
    price = price_of(name, config.prices)
    if price is None and (config.budget_usd_per_day, config.budget_usd_per_conversation) != (None, None):
        raise ConfigurationInvalid(
            f"No price is known for '{name}', so its budget cannot be kept. Add it to the prices of the configuration, "
            f"in USD per million tokens (0 for a server of your own), or remove the budgets."
        )
    breaker = Breaker(failures=config.breaker_failures, rest_s=config.breaker_rest_s)
    return Asker(name, build_model(name, config), config, price, breaker)
