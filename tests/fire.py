"""Whatever fits, or does not fit, an application's own OpenAPI file, sent to it: it answers as that file says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.ignored_auth,
    openapi_checks.missing_required_header,
    openapi_checks.unsupported_method,
]

USUAL = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
Operation = schemathesis.schemas.APIOperation
Change = Callable[[schemathesis.Case], None]


def as_made(case: schemathesis.Case) -> None:
    """Nothing changed."""


@dataclass(frozen=True)
class Fire:
    """
    How to fire. `examples`: per operation and mode. `change` may put in what the file cannot know, such as the id of
    something that is there. `away` are paths that need what does not run here, so that 503 is right.
    """

    headers: Mapping[str, str]
    examples: int
    change: Change = as_made
    away: frozenset[str] = frozenset()

    def at(self, url: str) -> dict[str, int]:
        """
        Valid and invalid input for every operation: no server error, no undeclared status or shape, no open door.

        Returns how many requests each operation got.
        """
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        return {
            operation.label: sum(self._each(operation, mode) for mode in GenerationMode) for operation in operations
        }

    def _each(self, operation: Operation, mode: GenerationMode) -> int:
        """How many requests were sent; none where no invalid input exists."""
        sent = 0
        is_away = operation.path in self.away
        wanted = [check for check in CHECKS if not (is_away and check is checks.not_a_server_error)]
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except schemathesis.errors.SchemathesisError:
            return 0  # no invalid input exists for an operation without parameters

        @settings(parent=USUAL, max_examples=self.examples)
        @given(case=strategy)
        def check(case: schemathesis.Case) -> None:
            nonlocal sent
            sent += 1
            self.change(case)
            case.call_and_validate(headers=dict(self.headers), checks=wanted)

        try:
            check()
        except Exception as exc:
            if "Unsatisfiable" not in type(exc).__name__ and "SkipTest" not in type(exc).__name__:
                raise
        return sent
