"""
The typed client of the gateway: `Pointsman(url, api_key)`, one method per operation of its OpenAPI file.

It needs httpx and pydantic and nothing else of this repository.
"""

from pointsman.client.generated import *  # noqa: F403  the models and the client, as the OpenAPI file names them
from pointsman.client.generated import Pointsman
from pointsman.client.transport import NotReached, PointsmanRefused

__all__ = ["NotReached", "Pointsman", "PointsmanRefused"]
