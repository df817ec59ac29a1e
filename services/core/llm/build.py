"""Builds the prioritiser and the summariser that the configuration names."""

from dataclasses import dataclass

from services.core.llm.port import Prioritiser, Summariser


@dataclass(frozen=True)
class Llm:
    prioritiser: Prioritiser
    summariser: Summariser
