"""
Standard Webhooks: the door of our own desk and of any system that signs by the open rules.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from services.core.connectors.door import Signed

DOOR = Signed(
    signature_header="webhook-signature",
    content="{id}.{timestamp}.{body}",
    form="base64",
    prefix="v1,",
    several=True,  # while the sender replaces a secret it signs with both
    timestamp_header="webhook-timestamp",
    timestamp_form="s",
    id_header="webhook-id",
    key_form="whsec",
)
