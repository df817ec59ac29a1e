"""
What a stack promises its consumers: workloads, CI, operators. The same keys on every cloud, versioned, no secret in it.

A reference (ARN, URL, resource id, secret name) says where a thing is; the consumer's identity whether it may use it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from infra.settings import Cloud, Profile

Text = Annotated[str, Field(min_length=1)]
Container = Literal["gateway", "router", "worker", "rag", "trainer", "migrator"]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(Part):
    id: Text


class Keys(Part):
    data: Text = Field(description="the customer-managed key for data at rest")


class Cluster(Part):
    """`kind` k3s: one node, reached through the cloud's session tunnel, fed from `deploy`."""

    name: Text
    kind: Literal["eks", "aks", "gke", "k3s"]
    endpoint: Text
    namespace: Text
    deploy: str = Field("", description="k3s only: object URL whose manifests the node applies")


class Database(Part):
    host: Text
    port: int = 5432
    name: Text
    auth: Literal["aws-iam", "entra", "gcp-iam"]
    users: dict[Container, Text] = Field(description="database role per container; log in with an identity token")
    admin: Text = Field(description="reference to the administrator: a secret's ARN or a principal, never a password")


class Objects(Part):
    documents: Annotated[str, Field(pattern=r"^(s3|gs|abfss)://")]
    models: Annotated[str, Field(pattern=r"^(s3|gs|abfss)://")]
    lake: Annotated[str, Field(pattern=r"^((s3|gs|abfss)://.+)?$")] = ""


class Bus(Part):
    kind: Literal["sns-sqs", "servicebus", "pubsub"]
    topic: Text
    queue: Text
    dead_letters: Text


class Registry(Part):
    url: Text
    images: dict[str, Text]


class Secrets(Part):
    kind: Literal["aws-secrets-manager", "azure-key-vault", "gcp-secret-manager"]
    store: Text
    connectors: dict[str, Text]


class Models(Part):
    kind: Literal["bedrock", "azure-openai", "vertex", "embedded"]
    endpoint: Text
    names: tuple[str, ...] = Field(description="what a caller sends as the model: profile ARNs on AWS, else its name")


class Identity(Part):
    """Role ARN, Entra client id or service-account e-mail per container; in k3s the node's own for all of them."""

    kind: Literal["eks-pod-identity", "azure-workload-identity", "gke-workload-identity", "node"]
    principals: dict[Container, Text]


class Edge(Part):
    hostname: Text
    address: Text
    entry: Text = Field(description="what the Gateway binds to: target group, address or certificate map by name")
    waf: str = ""
    front_door_id: str = Field("", description="Azure: the X-Azure-FDID that the Gateway must ask of every request")


class Observability(Part):
    logs: Text
    metrics: Text
    alerts: Text


class Ci(Part):
    principal: str = ""


class Options(Part):
    mock_data: bool
    test_tickets: bool
    spot_training: bool
    fine_tune_limit_s: int
    event_lake: bool


class Contract(Part):
    version: Literal[1] = 1
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
