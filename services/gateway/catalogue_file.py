"""The label catalogue as YAML, for the console: the same file that `pointsman catalogue export` prints."""

import yaml
from pydantic import ValidationError

from services.core.contracts.catalogue import Catalogue
from services.core.kit.errors import InputInvalid
from services.core.kit.plain_yaml import Plain

FILE_MAX_CHARS = 256_000  # some hundred teams with long descriptions; reading as much takes about a second


def catalogue_text(catalogue: Catalogue) -> str:
    return yaml.safe_dump(catalogue.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_catalogue(text: str) -> Catalogue:
    """
    Raises:
        InputInvalid: it is no YAML, or no catalogue; the message says where.
    """
    if len(text) > FILE_MAX_CHARS:
        raise InputInvalid(f"The file is longer than {FILE_MAX_CHARS:,} characters.")
    try:
        return Catalogue.model_validate(yaml.load(text, Loader=Plain))  # noqa: S506  # a safe loader, with less
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputInvalid(f"The file is no YAML{where}. Compare it with an export.") from exc
    except (ValidationError, RecursionError, ValueError) as exc:
        raise InputInvalid(f"The catalogue cannot be used: {_why(exc)}") from exc


def _why(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deeply or holds something odd."
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}" for problem in problems[:5])
