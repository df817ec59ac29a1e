"""Outputs are made up as deep as a program reads them."""

from typing import Any

import pytest

from infra.offline import fabricate


@pytest.mark.parametrize(
    ("token", "path"),
    [
        ("gcp:memorystore/instance:Instance", ["endpoints", 0, "connections", 0, "pscAutoConnection", "ipAddress"]),
        ("aws:elasticache/serverlessCache:ServerlessCache", ["endpoints", 0, "address"]),
        ("azure-native:network:PrivateEndpoint", ["networkInterfaces", 0, "id"]),
    ],
)
def test_a_nested_output_is_a_text_and_not_nothing(token: str, path: list[Any]) -> None:
    """A cache's address stands six steps down; None there ends a program with a bare traceback."""
    value: Any = fabricate.outputs(token, "cache", {})
    for step in path:
        value = value[step]
    assert isinstance(value, str)
