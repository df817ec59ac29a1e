"""The contracts on paper are the contracts in code."""

from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from services.core.contracts.schemas import CONTRACTS, FOLDER, schema_text

EXAMPLES = FOLDER / "examples"


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_schema_file_says_what_the_code_says(name: str) -> None:
    """Drift: run `make contracts` and read the diff."""
    assert (FOLDER / f"{name}.schema.json").read_text("utf-8") == schema_text(name)


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_valid_example_passes_code_and_schema(name: str) -> None:
    """And comes back unchanged from a round trip."""
    text = (EXAMPLES / f"{name}.valid.json").read_text("utf-8")
    model = CONTRACTS[name].model_validate_json(text)
    assert CONTRACTS[name].model_validate_json(model.model_dump_json()) == model
    jsonschema.validate(model.model_dump(mode="json"), CONTRACTS[name].model_json_schema())


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_invalid_example_is_refused(name: str) -> None:
    """By the code; the schema alone is for others."""
    with pytest.raises(ValidationError):
        CONTRACTS[name].model_validate_json((EXAMPLES / f"{name}.invalid.json").read_text("utf-8"))


def test_a_misspelt_field_is_refused() -> None:
    """Contracts are closed inside the platform."""
    with pytest.raises(ValidationError, match="extra"):
        CONTRACTS["ticket-update"].model_validate({"key": "1:new", "external_id": "1", "prioritty": "high"})


def test_every_contract_file_has_its_contract() -> None:
    """No schema or example is left behind when a contract goes."""
    schemas = {file.name.removesuffix(".schema.json") for file in FOLDER.glob("*.schema.json")}
    examples = {Path(file.stem).stem for file in EXAMPLES.iterdir()}
    assert schemas - {"openapi"} == examples == set(CONTRACTS)
