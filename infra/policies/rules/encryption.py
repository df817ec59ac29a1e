"""ENC: keys at rest and in transit."""

import base64
import json
from collections.abc import Iterator

from infra.offline.report import Resource
from infra.policies.rules.base import (
    COMPUTED,
    Breach,
    Stack,
    at_least,
    claimed,
    dig,
    equals,
    is_set,
    is_true,
    must,
    rule,
)

_YEAR_S = 366 * 24 * 3600


@rule("ENC-001", "data at rest lies under the customer's key")
def customer_key(stack: Stack) -> Iterator[Breach]:
    yield from claimed(stack, "key", "Data at rest must lie under the customer's key")
    yield from must(
        [r for r in stack.of(_BUCKET_KEY) if not r.name.endswith("-audit")],  # S3 delivers logs to its own key only
        "rules.0.applyServerSideEncryptionByDefault.kmsMasterKeyId",
        is_set,
        "The bucket must use the customer's key",
    )


_BUCKET_KEY = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"


@rule("ENC-002", "TLS 1.2 or newer on every connection")
def modern_tls(stack: Stack) -> Iterator[Breach]:
    message = "Connections older than TLS 1.2, or without TLS, are possible"
    for r in stack.of("aws:rds/clusterParameterGroup:ClusterParameterGroup", "aws:rds/parameterGroup:ParameterGroup"):
        if not any(p.get("name") == "rds.force_ssl" and p.get("value") == "1" for p in r.inputs.get("parameters", [])):
            yield r.urn, f"{message} (rds.force_ssl is not 1)"
    https = [r for r in stack.of("aws:lb/listener:Listener") if r.inputs.get("protocol") == "HTTPS"]
    yield from must(https, "sslPolicy", lambda v: "TLS13-1-2" in str(v) or "TLS13-1-3" in str(v), message)
    for r in stack.of("aws:s3/bucketPolicy:BucketPolicy"):
        if "aws:SecureTransport" not in str(r.inputs.get("policy")) and r.inputs.get("policy") != COMPUTED:
            yield r.urn, f"{message} (the bucket's policy refuses nothing)"
    for r in stack.of("azure-native:dbforpostgresql:Server"):
        if not configured(stack, r, "ssl_min_protocol_version") <= {"TLSV1.2", "TLSV1.3"}:
            yield r.urn, f"{message} (ssl_min_protocol_version)"
    yield from claimed(stack, "tls", message)


def configured(stack: Stack, server: Resource, name: str) -> set[str]:
    """What a server of Azure is told of a parameter; `unset` where nobody tells it."""
    settings = [r for r in stack.of("azure-native:dbforpostgresql:Configuration") if server.urn in r.depends_on]
    return {str(r.inputs.get("value")) for r in settings if r.inputs.get("configurationName") == name} or {"unset"}


@rule("ENC-003", "keys are rotated at least once a year")
def keys_rotate(stack: Stack) -> Iterator[Breach]:
    message = "The key is never rotated"
    yield from must(stack.of("aws:kms/key:Key"), "enableKeyRotation", is_true, message)
    vault_keys = stack.of("azure-native:keyvault:Key")
    yield from must(vault_keys, "properties.rotationPolicy.lifetimeActions", _rotates, message)
    yield from must(stack.of("gcp:kms/cryptoKey:CryptoKey"), "rotationPeriod", _within_a_year, message)


def _rotates(actions: list | None) -> bool:
    """An action without a time to it is none."""
    return any(
        str(dig(a, "action.type")).lower() == "rotate" and a.get("trigger") and any(a["trigger"].values())
        for a in actions or []
    )


def _within_a_year(period: str | None) -> bool:
    return bool(period) and at_least(1)(_YEAR_S - int(str(period).rstrip("s")))


@rule("ENC-004", "Kubernetes keeps its secrets encrypted")
def kubernetes_secrets(stack: Stack) -> Iterator[Breach]:
    message = "Kubernetes secrets must be encrypted with the customer's key"
    eks = stack.of("aws:eks/cluster:Cluster")
    yield from must(eks, "encryptionConfig.provider.keyArn", is_set, message)
    aks = stack.of("azure-native:containerservice:ManagedCluster")
    yield from must(aks, "securityProfile.azureKeyVaultKms.enabled", is_true, message)
    gke = stack.of("gcp:container/cluster:Cluster")
    yield from must(gke, "databaseEncryption.state", equals("ENCRYPTED", "ALL_OBJECTS_ENCRYPTION_ENABLED"), message)
    for r in boot_scripts(stack):
        if "secrets-encryption: true" not in script_of(r):
            yield r.urn, "k3s must be started with secrets-encryption: true"


_SCRIPT = {
    "aws:ec2/launchTemplate:LaunchTemplate": "userData",
    "azure-native:compute:VirtualMachineScaleSet": "virtualMachineProfile.osProfile.customData",
    "gcp:compute/instanceTemplate:InstanceTemplate": "metadataStartupScript",
}


def boot_scripts(stack: Stack) -> list[Resource]:
    """Machines whose boot script can be read: it names addresses, which a first preview does not know."""
    machines = stack.of(*_SCRIPT) if stack.is_small else []
    return [r for r in machines if dig(r.inputs, _SCRIPT[r.type]) != COMPUTED]


def script_of(resource: Resource) -> str:
    """The boot script of a machine as text; empty when there is none or it is a value not yet known."""
    text = dig(resource.inputs, _SCRIPT[resource.type])
    if not isinstance(text, str) or text.startswith("#!"):
        return text or ""
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


def policy_statements(document: str | None) -> list[dict]:
    """The statements of an IAM document as written in a resource's input."""
    try:
        return list(json.loads(document or "{}").get("Statement", []))
    except (TypeError, ValueError):
        return []
