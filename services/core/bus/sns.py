"""An SNS topic, by the vendor's SDK. The event's type is an attribute, so that a subscription may filter by it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from services.core.bus.port import STRUCTURED, refusal
from services.core.kit.errors import BusClosed, ConnectorUnavailable

WHO = "SNS"


@dataclass(frozen=True)
class Sns:
    topic: str

    async def publish(self, event: Mapping[str, Any]) -> None:
        await asyncio.to_thread(self._publish, event)

    def _publish(self, event: Mapping[str, Any]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        said = {"type": event["type"], "content-type": STRUCTURED}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in said.items()}
        try:
            self._client.publish(TopicArn=self.topic, Message=json.dumps(dict(event)), MessageAttributes=attributes)
        except ClientError as exc:
            raise _meaning(exc.response) from exc
        except BotoCoreError as exc:  # no credentials, no address, no answer
            raise ConnectorUnavailable(f"{WHO} cannot be asked ({type(exc).__name__}).") from exc

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        once = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 1})  # the outbox repeats
        return boto3.client("sns", region_name=self.topic.split(":")[3], config=once)


def _meaning(response: Mapping[str, Any]) -> Exception:
    """By the status, but for what SNS says of a key: there a 400 may be a grant, or a limit."""
    code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    if "Throttl" in code:
        status = 429
    elif code.startswith("KMS"):
        return BusClosed(f"{WHO} answered {code}. May this workload use the topic's key?")
    return refusal(status, f"{WHO} ({code})") or ConnectorUnavailable(f"{WHO} answered {code}.")
