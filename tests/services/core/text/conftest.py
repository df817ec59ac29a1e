"""One loaded redactor for all tests of this folder: loading takes a second."""

import pytest

from services.core.text.redact import Redactor, build_redactor


@pytest.fixture(scope="session")
def redactor() -> Redactor:
    return build_redactor()
