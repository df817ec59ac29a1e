"""
What a stack promises its consumers: workloads, CI, operators. The same keys on every cloud, versioned, no secret in it.

A reference (ARN, URL, resource id, secret name) says where a thing is; the consumer's identity whether it may use it.
"""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.settings import Cloud, Digest, Profile
from services.core.kit.errors import ConfigurationInvalid

VERSION = 4
RUN_GIB = 8  # of the disk for an unfinished training that a cluster's workloads ask for: the bill knows it, too
Text = Annotated[str, Field(min_length=1)]
Container = Literal["gateway", "router", "worker", "rag", "trainer", "migrator"]
Platform = Literal["external-secrets", "cert-manager", "telemetry"]


class Part(BaseModel):
    """A text that may be empty says when, or it is a `Text`: an empty host is connected to in vain, and in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for name, field in cls.model_fields.items():
            if field.annotation is str and not field.metadata and (field.is_required() or not field.description):
                raise TypeError(
                    f"contract: {cls.__name__}.{name} may be empty. Make it a Text, or say in `description` when"
                )


class Network(Part):
    id: Text


class Keys(Part):
    data: Text = Field(description="the customer-managed key for data at rest")


class Taint(Part):
    key: Text
    value: Text
    effect: Literal["NoSchedule"] = "NoSchedule"


class Pool(Part):
    """Where a kind of pods belongs: its node selector, and the taints it must tolerate."""

    selector: dict[str, str]
    taints: tuple[Taint, ...]


class Cluster(Part):
    """`kind` k3s: one node, reached through the cloud's session tunnel, fed from `deploy`; it has no pools."""

    name: Text
    kind: Literal["eks", "aks", "gke", "k3s"]
    endpoint: Text
    ca: str = Field("", description="authority of the API server, PEM in base64; k3s makes its own on the machine")
    arch: Literal["amd64", "arm64"]
    pools: dict[Literal["workers", "gpu"], Pool] = Field(description="empty in k3s")
    manifests: tuple[dict[str, Any], ...] = Field((), description="AWS: node pools, applied before all workloads")
    namespace: Text
    deploy: str = Field("", description="k3s only: object URL whose manifests the node applies")


class Database(Part):
    host: Text
    port: int = 5432
    name: Text
    auth: Literal["aws-iam", "entra", "gcp-iam"]
    ca: Text = Field(description="PEM of the server's authority, the address of its vendor's bundle, or `system`")
    users: dict[Container, Text] = Field(description="database role per container; log in with an identity token")
    admin: Text = Field(description="the role that may make the others; of the migrator alone")
    admin_secret: str = Field(
        "", description="AWS: the secret with its rotated password; empty: the migrator signs in by identity"
    )


class Objects(Part):
    documents: Annotated[str, Field(pattern=r"^(s3|gs|abfss)://")]
    models: Annotated[str, Field(pattern=r"^(s3|gs|abfss)://")]
    lake: str = Field("", pattern=r"^((s3|gs|abfss)://.+)?$", description="empty: objects.event_lake is off")


class Bus(Part):
    kind: Literal["sns-sqs", "servicebus", "pubsub"]
    topic: Text
    queue: Text
    dead_letters: Text


class Registry(Part):
    url: Text
    images: dict[str, Text] = Field(description="reference per container, with its digest where one is set")
    digests: dict[str, Digest] = Field(description="what options.digests names; empty: CI has written none yet")
    pull_secret: str = Field("", description="Kubernetes secret pods pull with; empty: the nodes' identity pulls")


class Secrets(Part):
    kind: Literal["aws-secrets-manager", "azure-key-vault", "gcp-secret-manager"]
    store: Text
    uri: Annotated[str, Field(pattern=r"^https://")] = Field(description="where external-secrets asks")
    connectors: dict[str, Text]


class Deployment(Part):
    """`model` is the cloud's word as in the settings, `name` what a caller sends: a profile's ARN on AWS."""

    model: Text
    name: Text


class Models(Part):
    kind: Literal["bedrock", "azure-openai", "vertex", "embedded"]
    endpoint: Text
    deployments: tuple[Deployment, ...] = Field(description="in the order of models.names")


class Identity(Part):
    """
    Role ARN, Entra client id or service-account e-mail per container; in k3s the node's own for all of them.

    Each belongs to the service account of its name: a container's in `cluster.namespace`, a part of `platform` in the
    namespace of its own name.
    """

    kind: Literal["eks-pod-identity", "azure-workload-identity", "gke-workload-identity", "node"]
    principals: dict[Container, Text]
    platform: dict[Platform, Text]
    operators: str = Field(
        "",
        description="AWS: the role of settings.operators, elsewhere they act as themselves; empty: nobody is named",
    )


class Edge(Part):
    """The zone is empty where the settings name no domain."""

    hostname: Text
    address: Text
    address_name: str = Field("", description="Azure, GCP: name of the reserved address the Gateway claims")
    origin_host: Text = Field(description="the name the Gateway's own certificate must hold")
    tls_policy: str = Field("", description="AWS: of the listener; GCP: for the Gateway to name; Azure: lowest version")
    zone: str = Field("", description="id of the DNS zone, in which cert-manager may prove names")
    name_servers: tuple[str, ...] = Field((), description="to enter at the parent domain")
    entry: Text = Field(description="what the Gateway binds to: target group, address or certificate map by name")
    waf: str = Field("", description="empty in `small`: the Gateway's own rate limit stands alone")
    front_door_id: str = Field("", description="Azure: the X-Azure-FDID that the Gateway must ask of every request")
    chat: Literal["off", "keys", "public"] = Field("off", description="who opens a conversation from outside")
    chat_hostname: str = Field("", description="the chat's own name; empty: nobody gets in to it from outside")
    chat_entry: str = Field("", description="AWS: the target group of the chat's pods; empty: edge.chat is off")
    chat_origins: tuple[str, ...] = Field((), description="sites that may show the chat's page and call it")


class Observability(Part):
    logs: Text
    metrics: Text
    traces: Text = Field(description="where the telemetry identity sends spans: an OTLP address or a connection string")
    alerts: Text


class Ci(Part):
    principal: str = Field("", description="empty: no repository is named")


class Options(Part):
    mock_data: bool
    test_tickets: bool
    spot_training: bool
    fine_tune_limit_s: int
    event_lake: bool
    publish_events: bool = Field(description="workers send events to `bus.topic`")


class Contract(Part):
    version: Literal[4] = VERSION
    application: Text
    cloud: Cloud
    profile: Profile
    region: Text
    account: Text
    network: Network
    keys: Keys
    cluster: Cluster
    database: Database
    objects: Objects
    bus: Bus
    registry: Registry
    secrets: Secrets
    models: Models
    identity: Identity
    edge: Edge
    observability: Observability
    ci: Ci
    options: Options

    @property
    def is_small(self) -> bool:
        """One machine with k3s, which pods share."""
        return self.profile is Profile.SMALL

    @model_validator(mode="after")
    def promises_agree(self) -> Self:
        """What is said in two places is one fact, or nobody should read it."""
        if self.is_small != (self.cluster.kind == "k3s"):
            raise ValueError(f"profile {self.profile} and cluster.kind {self.cluster.kind} do not go together")
        if self.is_small != bool(self.cluster.deploy):
            raise ValueError(f"cluster.deploy is {self.cluster.deploy!r}: k3s is fed from there, and nothing else is")
        if (self.edge.chat == "off") == bool(self.edge.chat_hostname):
            raise ValueError(f"edge.chat is {self.edge.chat!r}, and edge.chat_hostname {self.edge.chat_hostname!r}")
        if (self.models.kind == "embedded") == bool(self.models.deployments):
            raise ValueError(f"models.kind is {self.models.kind}, and models.deployments {self.models.deployments}")
        if self.options.event_lake != bool(self.objects.lake):
            raise ValueError(f"options.event_lake is {self.options.event_lake}, and objects.lake {self.objects.lake!r}")
        return self


def read_contract(text: str) -> Contract:
    """
    The contract as `pulumi stack output contract --json` prints it.

    Raises:
        ConfigurationInvalid: not a contract, or of another version; the message says what to do.
    """
    try:
        raw = json.loads(text)
    except ValueError as exc:
        raise ConfigurationInvalid(f"This is no contract: not JSON ({exc}). {_WRITE}") from exc
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != VERSION:
        raise ConfigurationInvalid(_other_version(version))
    try:
        return Contract.model_validate_json(text)
    except ValidationError as exc:
        facts = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise ConfigurationInvalid(f"This is no contract: {facts}. {_WRITE}") from exc


_WRITE = "Write it with: pulumi stack output contract --json"


def _other_version(version: object) -> str:
    if not isinstance(version, int):
        return f"This is no contract: it names no version. {_WRITE}"
    if version > VERSION:
        return f"The contract is version {version}, this program reads {VERSION}: update this program."
    return (
        f"The contract is version {version}, this program reads {VERSION}. Run `pulumi up` from this checkout, so "
        f"that the stack promises version {VERSION}. {_WRITE}"
    )
