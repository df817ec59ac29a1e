"""
What an operator may choose for one stack. Cloud-neutral: a size is a name, each cloud maps it to a machine.

It knows no cloud SDK. Secrets never appear here: connector credentials are created empty and filled in the vault.
"""

from enum import StrEnum
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from infra.together import refusals
from services.core.kit.errors import ConfigurationInvalid

LogDays = Literal[30, 60, 90, 120, 150, 180, 365, 400, 545]  # what CloudWatch Logs and Log Analytics both accept
CONTAINERS = ("gateway", "router", "worker", "rag", "trainer")
BUDGET_SHARES_PERCENT = (50, 80, 100)


class Cloud(StrEnum):
    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"


class Profile(StrEnum):
    DEV = "dev"
    SMALL = "small"
    PROD = "prod"


class Size(StrEnum):
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class DatabaseSize(StrEnum):
    """From the smallest a cloud has (1, 2 and 0.6 GiB) by 4 and 8 to 16 GiB, the same on all three."""

    SMALL = "small"
    COMPACT = "compact"
    MEDIUM = "medium"
    LARGE = "large"


class Closed(BaseModel):
    """Frozen, and an unknown key is an error: a typing mistake in YAML must not become a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExistingNetwork(Closed):
    """Bring your own network, by ids in the cloud's own form. Nothing in it is created, changed or destroyed."""

    id: str
    cidr: IPv4Network = Field(description="the range its subnets are in: the database and the edge let it in")
    node_subnet_ids: tuple[str, ...] = Field(min_length=1)
    data_subnet_ids: tuple[str, ...] = Field(min_length=1)
    edge_subnet_ids: tuple[str, ...] = ()
    endpoint_subnet_id: str | None = Field(None, description="Azure: where private endpoints go")
    api_subnet_id: str | None = Field(None, description="Azure: delegated to the API server, /28 or larger")
    private_dns_zones: dict[str, str] | None = Field(
        None, description="Azure: zone name -> resource id of zones linked to it already; empty: there are none"
    )
    pod_range: str = Field("pods", description="GCP: name of the secondary range for pods")
    service_range: str = Field("services", description="GCP: name of the secondary range for services")


class Network(Closed):
    cidr: IPv4Network = IPv4Network("10.20.0.0/16")
    zones: int = Field(3, ge=1, le=3)
    nat: Literal["none", "single", "per-zone"] = "per-zone"
    private_endpoints: bool = True
    flow_logs: bool = True
    existing: ExistingNetwork | None = None

    @property
    def inside(self) -> IPv4Network:
        return self.existing.cidr if self.existing else self.cidr


class Cluster(Closed):
    # On EKS without the surcharge for old versions until 2027-03-27: https://endoflife.date/amazon-eks (2026-11)
    version: str = Field("1.35", pattern=r"^1\.\d{2}$")
    size: Size | None = Field(None, description="AKS and GKE: medium unless set; EKS Auto Mode goes by what pods ask")
    memory_gib: Literal[4, 8, 16] | None = Field(None, description="`small`: its one machine; 8 unless set")
    nodes_max: int = Field(6, ge=1, le=100)
    spot: bool = Field(True, description="run workers (and in `small` the node) on spot capacity")
    gpu: bool = Field(True, description="a pool for the trainer, scaled from zero")
    ssh_public_key: str | None = Field(
        None,
        pattern=r"^ssh-(rsa|ed25519) \S+",
        description="Azure `small`: a machine must have one; port 22 is closed",
    )

    @property
    def machine(self) -> Size:
        return self.size or Size.MEDIUM

    @property
    def node_gib(self) -> int:
        return self.memory_gib or 8


class Database(Closed):
    size: DatabaseSize = DatabaseSize.MEDIUM
    storage_gb: int = Field(64, ge=10, le=16_000, description="at the making; it grows by itself (DB-007)")
    backup_days: int = Field(14, ge=7, le=35)
    highly_available: bool = False

    scaling_min: float | None = Field(
        None, ge=0, le=128, description="AWS: Aurora Serverless between two capacities instead of the size; 1 is 2 GiB"
    )
    scaling_max: float | None = Field(None, ge=0.5, le=128)

    @property
    def scales(self) -> bool:
        return self.scaling_max is not None

    @model_validator(mode="after")
    def scaling_is_a_range(self) -> Self:
        if (self.scaling_min is None) != (self.scaling_max is None):
            raise ValueError("database.scaling_min and scaling_max go together; set both, or neither")
        if self.scaling_min is not None and self.scaling_max is not None and self.scaling_min > self.scaling_max:
            raise ValueError(
                f"database.scaling_min {self.scaling_min} is above scaling_max {self.scaling_max}; swap them"
            )
        return self

    @model_validator(mode="after")
    def burstable_stands_alone(self) -> Self:
        if self.highly_available and self.size in (DatabaseSize.SMALL, DatabaseSize.COMPACT):
            raise ValueError(f"not every cloud gives a {self.size} database a standby; set database.size: medium")
        return self


class Objects(Closed):
    event_lake: bool = Field(True, description="keep events as Parquet by day")
    noncurrent_days: int = Field(30, ge=1, le=365)
    archive_after_days: int = Field(90, ge=30, le=3650)


class Bus(Closed):
    private: bool = Field(
        False, description="Azure: Service Bus Premium, the one tier with endpoints and our key; 677 USD a month"
    )
    publish: bool = Field(False, description="workers publish ids of events; off: the bus stands empty and idle")


class Registry(Closed):
    """`external_url` set: images come from a registry the owner already has, and none is created."""

    external_url: str | None = Field(
        None, pattern=r"^[a-z0-9.-]+(:\d+)?/[a-z0-9._/-]+$", examples=["ghcr.io/acme/pointsman"]
    )
    keep_images: int = Field(20, ge=3, le=1000)
    scan: bool = Field(True, description="Azure prod: Defender for Containers, for the whole subscription")


class Models(Closed):
    """Model ids are the cloud's own words. Empty: the embedded model is used and no LLM access granted."""

    names: tuple[str, ...] = ()
    organisation_policy: bool = Field(
        False, description="GCP: allow the named models only; whoever runs `up` needs a role of the organisation"
    )
    invocation_log: bool = Field(True, description="AWS: who called which model; one setting per account and region")
    capacity_ktpm: int = Field(50, ge=1, le=10_000, description="Azure deployments: thousand tokens a minute")


class Identity(Closed):
    role_path: str = Field("/pointsman/", pattern=r"^/([A-Za-z0-9._-]+/)*$", description="AWS: IAM path of every role")
    permissions_boundary_arn: str | None = Field(None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:policy/.+$")


class Edge(Closed):
    domain: str | None = Field(None, pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$", examples=["tickets.example.com"])
    zone: str | None = Field(
        None,
        description="a public DNS zone that is there already: its id (AWS), resource id (Azure) or name (GCP)",
    )
    chat: Literal["off", "keys", "public"] = Field(
        "off", description="who opens a conversation at chat.DOMAIN: nobody from outside, holders of API keys, anybody"
    )
    chat_origins: tuple[Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+(:\d+)?$")], ...] = Field(
        (), description="sites that may show the chat's page and call it", examples=[["https://www.example.com"]]
    )
    requests_per_5min_per_ip: int = Field(2000, ge=100, le=1_000_000)
    waf: bool = True

    @field_validator("chat", mode="before")
    @classmethod
    def off_is_a_word(cls, value: Any) -> Any:
        """YAML reads a bare `off` as false."""
        return "off" if value is False else value

    @property
    def chat_domain(self) -> str:
        """A name of its own: what a visitor's browser runs there shares no origin with the console."""
        return f"chat.{self.domain}" if self.has_chat and self.domain else ""

    @property
    def has_chat(self) -> bool:
        return self.chat != "off"


class Observability(Closed):
    log_days: LogDays = 30
    alert_email: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$")
    existing_log_bucket: str | None = Field(None, description="bucket or storage account id for audit and access logs")
    log_cap_gb_per_day: float = Field(5, gt=0)
    account_trail: bool = Field(True, description="AWS: a CloudTrail of the account; off where the company has one")
    subscription_log: bool = Field(True, description="Azure: the subscription's activity log; off where it is kept")
    exclude_default_sink: bool = Field(True, description="GCP: stop the project's second copy of every log line")


class Budget(Closed):
    usd_per_month: int = Field(gt=0)
    start_month: str = Field("2026-12", pattern=r"^20\d\d-(0[1-9]|1[0-2])$", description="Azure: this month or later")
    billing_account: str | None = Field(None, description="GCP: the billing account the budget belongs to")


class Ci(Closed):
    """The GitHub repository whose Actions may push images and deploy, through OIDC and one environment."""

    repository: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    existing_oidc_provider_arn: str | None = Field(
        None, description="AWS: an account holds one GitHub provider at most"
    )


class Operators(Closed):
    """
    People and machines that run the stack, beside its workloads: they seed secrets, upload, and check it (smoke).

    A principal is an ARN on AWS, `user:`, `group:` or `service:` and an object id on Azure, an IAM member on Google.
    """

    principals: tuple[str, ...] = Field((), examples=[["group:platform@example.com"]])
    cidrs: tuple[IPv4Network, ...] = Field(
        (), description="networks they come from: API server, vaults and storage admit them; empty: all is private"
    )

    @model_validator(mode="after")
    def networks_are_named(self) -> Self:
        for cidr in self.cidrs:
            if any(cidr.overlaps(inside) for inside in _NEVER_SEEN_OUTSIDE):
                raise ValueError(
                    f"operators.cidrs: {cidr} holds addresses that no cloud sees from outside, or everybody's; "
                    "name the public network people come from, such as 203.0.113.0/24"
                )
        return self


# RFC 1918 and 6598: a firewall rule of a vault or an API server with one of these is refused.
_NEVER_SEEN_OUTSIDE = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")
)


class Training(Closed):
    spot: bool = True
    time_limit_s: int = Field(4 * 3600, ge=600, le=24 * 3600)


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Options(Closed):
    """What the workloads read from the contract; no resource depends on it."""

    mock_data: bool = False
    test_tickets: bool = False
    images: dict[str, str] = Field(default_factory=dict, description="container -> image reference, instead of our own")
    digests: dict[str, Digest] = Field(default_factory=dict, description="container -> digest CI pushed; pins our own")

    @model_validator(mode="after")
    def containers_exist(self) -> Self:
        for field, named in (("images", self.images), ("digests", self.digests)):
            if unknown := sorted(set(named) - set(CONTAINERS)):
                raise ValueError(
                    f"options.{field} names no container of ours: {unknown}; choose from {list(CONTAINERS)}"
                )
        if twice := sorted(set(self.images) & set(self.digests)):
            raise ValueError(f"options.images already says which image {twice} is; drop them from options.digests")
        return self


Tag = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,63}$")]  # GCP labels are the narrowest of the three


class Settings(Closed):
    """One stack: everything but secrets. `cloud` and `environment` are the project's and stack's names."""

    cloud: Cloud
    environment: str = Field(pattern=r"^[a-z][a-z0-9]{1,7}$")
    profile: Profile
    application: str = Field("pointsman", pattern=r"^[a-z][a-z0-9]{2,11}$")
    account: str = Field("", description="GCP project id or Azure subscription id; AWS reads it from the credentials")
    region: str = Field(min_length=4)
    allowed_regions: tuple[str, ...] = ()
    owner: Tag = "platform"
    cost_center: Tag = "support"
    tags: dict[Tag, Tag] = Field(default_factory=dict)
    protect: bool = True
    retire: bool = Field(False, description="take the stack down: lifts what keeps it; see the guide of its cloud")
    network: Network = Network()
    cluster: Cluster = Cluster()
    database: Database = Database()
    objects: Objects = Objects()
    bus: Bus = Bus()
    registry: Registry = Registry()
    connectors: tuple[Tag, ...] = ("zendesk",)
    models: Models = Models()
    identity: Identity = Identity()
    edge: Edge = Edge()
    observability: Observability = Observability()
    budget: Budget
    ci: Ci = Ci()
    operators: Operators = Operators()
    training: Training = Training()
    options: Options = Options()

    @model_validator(mode="before")
    @classmethod
    def moved(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """What was called otherwise once."""
        if "api_allowed_cidrs" in (raw.get("cluster") or {}):
            raise ValueError("cluster.api_allowed_cidrs is operators.cidrs now: it opens vaults and storage as well")
        return raw

    @model_validator(mode="after")
    def goes_together(self) -> Self:
        if found := list(refusals(self)):
            raise ValueError("; ".join(found))
        return self

    @property
    def prefix(self) -> str:
        return f"{self.application}-{self.environment}"

    @property
    def may_lose_data(self) -> bool:
        """`pulumi destroy` takes buckets and vaults with what is in them."""
        return self.retire or (self.profile is Profile.DEV and not self.protect)

    @property
    def is_protected(self) -> bool:
        return self.protect and not self.retire

    @property
    def is_small(self) -> bool:
        return self.profile is Profile.SMALL

    @property
    def required_tags(self) -> dict[str, str]:
        own = {
            "application": self.application,
            "environment": self.environment,
            "stack": self.prefix,
            "owner": self.owner,
        }
        return {**self.tags, **own, "cost_center": self.cost_center, "managed_by": "pulumi"}


def parse(cloud: str, environment: str, raw: dict[str, Any]) -> Settings:
    """
    Settings from the `settings` object of Pulumi.<stack>.yaml; `profile` defaults to the stack's name.

    Raises:
        ConfigurationInvalid: names each field and what is wrong with it.
    """
    try:
        return Settings.model_validate({"profile": environment, **raw, "cloud": cloud, "environment": environment})
    except ValidationError as exc:
        facts = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in exc.errors())
        raise ConfigurationInvalid(f"Pulumi.{environment}.yaml of {cloud}: {facts}. Fix it there.") from exc
