"""Stacks written by hand, in the shape of a plan: only what a bill can be worked out for on paper."""

from decimal import Decimal
from typing import Any

from cost.scenario import Scenario
from infra.offline.report import Resource, StackPlan

# Round numbers, so that 10,000 tickets make 1 GB of logs, 1 GB out and 10 million tokens in.
ROUND = Scenario(
    name="round numbers",
    assumptions={
        name: Decimal(value)
        for name, value in {
            "chats_per_ticket": "0",
            "priority_input_tokens": "600",
            "summary_input_tokens": "400",
            "priority_output_tokens": "60",
            "summary_output_tokens": "40",
            "reasoning_tokens": "0",
            "repair_share": "0",
            "log_kb_per_ticket": "100",
            "idle_log_gb": "2",
            "egress_kb_per_ticket": "100",
            "idle_egress_gb": "0",
            "database_kb_per_ticket": "10",
            "lake_kb_per_ticket": "10",
            "retained_months": "12",
            "documents_gb": "1",
            "models_gb": "0",
            "object_writes_per_ticket": "0",
            "object_reads_per_ticket": "0",
            "key_calls_per_ticket": "0",
            "key_age_months": "1",
        }.items()
    },
)


def stack(cloud: str, *resources: Resource, profile: str = "small", models: tuple[str, ...] = ()) -> StackPlan:
    return StackPlan(
        cloud=cloud,
        profile=profile,
        seconds=0,
        resources=resources,
        contract={"models": {"deployments": [{"model": model, "name": model} for model in models]}},
    )


def resource(type_: str, name: str, capability: str = "cluster", **inputs: Any) -> Resource:
    return Resource(
        urn=f"urn:pulumi:{name}",
        type=type_,
        name=f"pointsman-small-{name}",
        capability=capability,
        parent="",
        inputs=inputs,
    )


AWS = stack(
    "aws",
    resource("aws:ec2/internetGateway:InternetGateway", "internet", "network"),
    resource("aws:kms/key:Key", "data", "keys", enableKeyRotation=True, rotationPeriodInDays=365),
    resource("aws:cloudwatch/logGroup:LogGroup", "platform", "observability", retentionInDays=73),
    resource("aws:s3/bucket:Bucket", "lake", "objects"),
    resource(
        "aws:rds/instance:Instance",
        "database",
        "database",
        instanceClass="db.t4g.micro",
        allocatedStorage=20,
        storageType="gp3",
        multiAz=True,
        manageMasterUserPassword=True,
    ),
    resource(
        "aws:bedrock/inferenceProfile:InferenceProfile",
        "nova",
        "models",
        modelSource={"copyFrom": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0"},
    ),
    resource(
        "aws:autoscaling/group:Group",
        "node",
        desiredCapacity=2,
        mixedInstancesPolicy={
            "instancesDistribution": {"onDemandPercentageAboveBaseCapacity": 0},
            "launchTemplate": {"overrides": [{"instanceType": "m7g.large"}]},
        },
    ),
    resource(
        "aws:ec2/launchTemplate:LaunchTemplate",
        "node",
        blockDeviceMappings=[{"ebs": {"volumeSize": 30, "volumeType": "gp3"}}],
    ),
    resource("aws:ec2/eip:Eip", "node"),
    models=("amazon.nova-micro-v1:0",),
)
AZURE = stack(
    "azure",
    resource("azure-native:network:VirtualNetwork", "network", "network"),
    resource(
        "azure-native:operationalinsights:Workspace",
        "logs",
        "observability",
        retentionInDays=104,
        workspaceCapping={"dailyQuotaGb": 1},
    ),
    resource(
        "azure-native:dbforpostgresql:Server",
        "database",
        "database",
        sku={"name": "Standard_B1ms", "tier": "Burstable"},
        storage={"storageSizeGB": 32},
        highAvailability={"mode": "ZoneRedundant"},
    ),
    resource("azure-native:storage:StorageAccount", "obj", "objects", sku={"name": "Standard_ZRS"}),
    resource(
        "azure-native:servicebus:Namespace", "bus", "bus", sku={"name": "Premium", "tier": "Premium", "capacity": 1}
    ),
    resource(
        "azure-native:cognitiveservices:Deployment", "nano", "models", properties={"model": {"name": "gpt-5-nano"}}
    ),
    resource(
        "azure-native:containerservice:ManagedCluster",
        "cluster",
        sku={"tier": "Standard"},
        agentPoolProfiles=[{"vmSize": "Standard_D4ds_v5", "minCount": 3}],
    ),
    models=("gpt-5-nano@2025-08-07",),
)
GCP = stack(
    "gcp",
    resource("gcp:compute/network:Network", "network", "network"),
    resource("gcp:kms/cryptoKey:CryptoKey", "data", "keys", rotationPeriod="1314000s"),
    resource("gcp:logging/projectBucketConfig:ProjectBucketConfig", "logs", "observability", retentionDays=103),
    resource(
        "gcp:sql/databaseInstance:DatabaseInstance",
        "database",
        "database",
        settings={"tier": "db-custom-2-8192", "availabilityType": "REGIONAL", "diskSize": 10},
    ),
    resource("gcp:projects/service:Service", "aiplatform", "foundation"),
    resource("gcp:container/cluster:Cluster", "cluster", location="us-central1"),
    resource(
        "gcp:container/nodePool:NodePool",
        "pool-system",
        autoscaling={"minNodeCount": 1},
        nodeConfig={"machineType": "n2d-standard-4", "diskSizeGb": 50, "diskType": "pd-balanced", "spot": False},
    ),
    models=("gemini-3.1-flash-lite",),
)
