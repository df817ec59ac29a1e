"""
What each capability gives the next ones: the same frozen record on every cloud.

A builder of a cloud returns one of these, so a forgotten output is a type error, not a surprise at deployment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import pulumi
from pulumi import Input, Resource, ResourceOptions

from infra.settings import Settings


class Foundation(Protocol):
    """What only one cloud has and all its capabilities need: a resource group, a project number, zones."""

    @property
    def ready(self) -> Sequence[Resource]:
        """What must stand before any other capability is begun."""
        ...


F = TypeVar("F", bound=Foundation)


# Where tickets and messages come in: what people write quotes anything, HTML and SQL too.
OWN_WORDS = ("/hooks/", "/webhook/", "/sessions/", "/channels/")


@dataclass(frozen=True)
class Scope:
    """The component a builder works in: its settings, its children's options and names."""

    settings: Settings
    component: pulumi.ComponentResource

    def own(self, *, protect: bool = False, depends_on: Sequence[Resource] = (), **more: Any) -> ResourceOptions:
        """Options of a child; `protect` marks data that a prod stack must not lose."""
        keep = protect and self.settings.is_protected
        return ResourceOptions(parent=self.component, protect=keep, depends_on=list(depends_on), **more)

    def name(self, label: str) -> str:
        return f"{self.settings.prefix}-{label}"


@dataclass(frozen=True)
class Network:
    """`ready` is what must exist before a machine, a balancer or a database is placed: routes, gateways, peerings."""

    id: Input[str]
    nodes: Sequence[Input[str]]
    data: Sequence[Input[str]]
    edge: Sequence[Input[str]] = ()
    endpoints: Input[str] | None = None  # Azure: the subnet of private endpoints
    api: Input[str] | None = None  # Azure: the subnet the API server reaches into
    ready: Sequence[Resource] = ()


@dataclass(frozen=True)
class Keys:
    """
    `holder` is the identity through which services reach the key (Azure); elsewhere services have their own.
    `version` names the key's present version, where a service cannot follow a rotation by itself (Azure's AKS).
    `ready` stands once those who encrypt for us may use the key, and the cloud has heard of it.
    """

    data: Input[str]
    version: Input[str] = ""
    store: Input[str] = ""
    holder: Input[str] = ""
    holder_client: Input[str] = ""
    ready: Sequence[Resource] = ()


@dataclass(frozen=True)
class Observability:
    logs: Input[str]
    metrics: Input[str]
    traces: Input[str]
    alerts: Input[str]
    audit_bucket: Input[str]
    metrics_inlet: Input[str] = ""  # Azure: the endpoint a cluster's own agent sends samples to
    inlets: Sequence[Input[str]] = ()  # what a telemetry grant may name: a workspace's ARN, a collection rule's id


@dataclass(frozen=True)
class Objects:
    """Names are for grants, URLs for the contract. `deploy` exists only in `small`, `lake` only when asked for."""

    names: Mapping[str, Input[str]]
    urls: Mapping[str, Input[str]]
    scope: Input[str] = ""  # Azure: the storage account; AWS and GCP grant per bucket


@dataclass(frozen=True)
class Database:
    """
    `server` is what the cloud's own grants call the server. `admin_secret` holds the rotated password of `admin`, where
    the cloud insists on one (AWS); elsewhere the administrator is an identity of ours, which identity.py makes.
    """

    id: Input[str]
    host: Input[str]
    name: Input[str]
    auth: str
    ca: Input[str]
    server: Input[str]
    admin: Input[str] = ""
    admin_secret: Input[str] = ""


@dataclass(frozen=True)
class Bus:
    """`alarmed_by` is what the metric of dead letters is asked of: a queue's name, a namespace, a subscription."""

    kind: str
    topic: Input[str]
    queue: Input[str]
    dead_letters: Input[str]
    topic_id: Input[str]
    queue_id: Input[str]  # what a grant to read names
    alarmed_by: Input[str] = ""


@dataclass(frozen=True)
class Registry:
    url: Input[str]
    id: Input[str] = ""
    repositories: Mapping[str, Input[str]] | None = None


@dataclass(frozen=True)
class Secrets:
    kind: str
    store: Input[str]
    uri: Input[str]
    connectors: Mapping[str, Input[str]]


@dataclass(frozen=True)
class Models:
    """`deployments` is (model as the settings name it, what a caller sends), in the order of `models.names`."""

    kind: str
    endpoint: Input[str]
    deployments: Sequence[tuple[str, Input[str]]] = ()
    grants: Sequence[Input[str]] = ()  # what an invoke grant may name: ARNs, an account id, model resource names


@dataclass(frozen=True)
class Pool:
    """Where a kind of pods belongs. A taint is (key, value); its effect is always NoSchedule."""

    selector: Mapping[str, str]
    taints: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Cluster:
    """
    `grant_id` is what a grant on a managed cluster names, `issuer` federates its pods to the cloud; both are empty in
    `small`, whose one node acts as `node` (what a grant names), `node_name` (its name) and `node_client` (what a pod
    says to sign in as it).
    """

    name: Input[str]
    kind: str
    endpoint: Input[str]
    arch: str
    ca: Input[str] = ""
    pools: Mapping[str, Pool] = field(default_factory=dict)
    manifests: Sequence[Mapping[str, Any]] = ()  # AWS: what the platform layer applies first
    firewall: Input[str] = ""  # AWS: the security group that all nodes and pods stand behind
    control: Input[str] = ""  # Azure: principal of the control plane
    grant_id: Input[str] = ""
    issuer: Input[str] = ""
    node: Input[str] = ""
    node_name: Input[str] = ""
    node_client: Input[str] = ""
    address: Input[str] = ""
    hostname: Input[str] = ""
    deploy: Input[str] = ""


@dataclass(frozen=True)
class Identity:
    kind: str
    principals: Mapping[str, Input[str]]
    platform: Mapping[str, Input[str]]
    users: Mapping[str, Input[str]]
    admin: Input[str]  # the database role that may make others
    operators: Input[str] = ""  # AWS: the role they take


@dataclass(frozen=True)
class Zone:
    """
    The public DNS zone: `id` is what a grant to edit it names. One that was there already is delegated already: then
    there are no name servers to enter anywhere.
    """

    id: Input[str]
    name_servers: Input[Sequence[str]] = ()


@dataclass(frozen=True)
class Edge:
    hostname: Input[str]
    address: Input[str]
    entry: Input[str]
    origin_host: Input[str]
    address_name: Input[str] = ""
    tls_policy: Input[str] = ""
    zone: Zone | None = None
    waf: Input[str] = ""
    name: Input[str] = ""
    front_door_id: Input[str] = ""  # Azure: what every request of our own Front Door carries as X-Azure-FDID
    chat_entry: Input[str] = ""  # AWS: what the chat's pods are registered with


@dataclass(frozen=True)
class Ci:
    principal: Input[str] = ""


@dataclass(frozen=True)
class Ground(Generic[F]):
    """What every later capability stands on."""

    foundation: F
    network: Network
    keys: Keys
    observability: Observability


@dataclass(frozen=True)
class Stores:
    """What a workload may be granted access to."""

    objects: Objects
    database: Database
    bus: Bus
    registry: Registry
    secrets: Secrets
    models: Models


@dataclass(frozen=True)
class Reach(Generic[F]):
    """All that a grant may name: what `words` of a capability's file turns an access into the cloud's words with."""

    settings: Settings
    ground: Ground[F]
    stores: Stores
    cluster: Cluster
    edge: Edge
