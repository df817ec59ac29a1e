"""One customer-managed key, rotated every ninety days; Google's service agents are let in one by one."""

import pulumi_gcp as gcp

from infra.capabilities import Keys, Scope
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation

_NINETY_DAYS = "7776000s"


def build(scope: Scope, foundation: GcpFoundation) -> Keys:
    ring = gcp.kms.KeyRing(scope.name("keys"), location=scope.settings.region, opts=scope.own())
    key = gcp.kms.CryptoKey(
        scope.name("data"),
        key_ring=ring.id,
        purpose="ENCRYPT_DECRYPT",
        rotation_period=_NINETY_DAYS,
        destroy_scheduled_duration="2592000s",
        opts=scope.own(protect=True),
    )
    return Keys(data=key.id, ready=access.let_use_key(scope, key.id, dict(foundation.agents)))
