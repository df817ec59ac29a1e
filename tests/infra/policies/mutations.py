"""
One seeded mistake per rule and cloud, made on the real plan: the plan passes, its mutant must not.

A mutation is small on purpose: one input, one resource or one value of the contract.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.offline.report import Resource, StackPlan

Mutate = Callable[[StackPlan], StackPlan]


@dataclass(frozen=True)
class Mistake:
    """`profile` names the stack the mistake is made in."""

    rule: str
    cloud: str
    what: str
    make: Mutate
    profile: str = "prod"


def put(type_: str, path: str, value: Any, *, name: str = "") -> Mutate:
    """Change one input of the first resource of a type (whose name ends with `name`)."""

    def make(plan: StackPlan) -> StackPlan:
        target = _first(plan, type_, name)
        return _replace(plan, target, target.model_copy(update={"inputs": _set(target.inputs, path.split("."), value)}))

    return make


def heed(type_: str) -> Mutate:
    """Let each input of the first resource of a type count after its making, too."""

    def make(plan: StackPlan) -> StackPlan:
        target = _first(plan, type_, "")
        return _replace(plan, target, target.model_copy(update={"ignores": ()}))

    return make


def say(who: str, id_: str, **changed: Any) -> Mutate:
    """Change one statement of the policy of `who`."""

    def make(plan: StackPlan) -> StackPlan:
        document = json.loads(_first(plan, ROLE_POLICY, who).inputs["policy"])
        (one,) = [s for s in document["Statement"] if s.get("Sid") == id_]
        one.update(changed)
        return put(ROLE_POLICY, "policy", json.dumps(document), name=who)(plan)

    return make


def unprotect(type_: str) -> Mutate:
    def make(plan: StackPlan) -> StackPlan:
        target = _first(plan, type_, "")
        return _replace(plan, target, target.model_copy(update={"protect": False}))

    return make


def hurry(type_: str, *, name: str = "") -> Mutate:
    """Let the first resource of a type (whose name ends with `name`) wait for nothing."""

    def make(plan: StackPlan) -> StackPlan:
        target = _first(plan, type_, name)
        return _replace(plan, target, target.model_copy(update={"depends_on": ()}))

    return make


def forget(type_: str, what: str) -> Mutate:
    """Let the first resource of a type not wait for those whose URN holds `what`."""

    def make(plan: StackPlan) -> StackPlan:
        target = _first(plan, type_, "")
        kept = tuple(urn for urn in target.depends_on if what not in urn)
        assert len(kept) < len(target.depends_on), f"{target.urn} does not wait for {what}"
        return _replace(plan, target, target.model_copy(update={"depends_on": kept}))

    return make


def drop(type_: str, *, name: str = "") -> Mutate:
    """Remove every resource of a type (whose name ends with `name`)."""

    def make(plan: StackPlan) -> StackPlan:
        kept = tuple(r for r in plan.resources if not (r.type == type_ and r.name.endswith(name)))
        assert len(kept) < len(plan.resources), f"nothing to drop: {type_} {name}"
        return plan.model_copy(update={"resources": kept})

    return make


def add(type_: str, inputs: dict[str, Any], *, name: str = "extra") -> Mutate:
    def make(plan: StackPlan) -> StackPlan:
        extra = Resource(urn=f"urn::{type_}::{name}", type=type_, name=name, capability="ci", parent="", inputs=inputs)
        return plan.model_copy(update={"resources": (*plan.resources, extra)})

    return make


def both(first: Mutate, second: Mutate) -> Mutate:
    return lambda plan: second(first(plan))


def promise(path: str, value: Any) -> Mutate:
    """Change one value of the contract."""
    return lambda plan: plan.model_copy(update={"contract": _set(plan.contract, path.split("."), value)})


def without(capability: str) -> Mutate:
    def make(plan: StackPlan) -> StackPlan:
        return plan.model_copy(update={"resources": tuple(r for r in plan.resources if r.capability != capability)})

    return make


def _first(plan: StackPlan, type_: str, name: str) -> Resource:
    return next(r for r in plan.resources if r.type == type_ and r.name.endswith(name))


def _replace(plan: StackPlan, old: Resource, new: Resource) -> StackPlan:
    return plan.model_copy(update={"resources": tuple(new if r is old else r for r in plan.resources)})


def _set(value: Any, path: list[str], new: Any) -> Any:
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, list | tuple):
        return [_set(v, rest, new) if i == int(step) else v for i, v in enumerate(value)]
    return {**(value or {}), step: _set((value or {}).get(step), rest, new)}


EKS, AKS, GKE = (
    "aws:eks/cluster:Cluster",
    "azure-native:containerservice:ManagedCluster",
    "gcp:container/cluster:Cluster",
)
RDS, PG, SQL = (
    "aws:rds/instance:Instance",
    "azure-native:dbforpostgresql:Server",
    "gcp:sql/databaseInstance:DatabaseInstance",
)
ACCOUNT, BLOBS = "azure-native:storage:StorageAccount", "azure-native:storage:BlobServiceProperties"
BUCKET, GCS = "aws:s3/bucket:Bucket", "gcp:storage/bucket:Bucket"
DIAGNOSTIC = "azure-native:monitor:DiagnosticSetting"
ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["*"]}]}'
ASK_ALL = '{"Statement":[{"Effect":"Allow","Action":["bedrock:InvokeModel"],"Resource":["arn:aws:bedrock:*::*"]}]}'
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
DB_USER, CACHE_LOGIN = "arn:aws:rds-db:us-east-1:123456789012:dbuser:db-1/", "elasticache:Connect"
PROJECT_GRANT, ATTACHED = "gcp:projects/iAMMember:IAMMember", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
BACK_UP, FLEX_SETTING = "AWSBackupServiceRolePolicyForBackup", "azure-native:dbforpostgresql:Configuration"
VAULT, VAULT_KEY = "azure-native:keyvault:Vault", "azure-native:keyvault:Key"
PRIVATE, LIFETIME = "azure-native:network:PrivateEndpoint", "properties.rotationPolicy.lifetimeActions"
TIDY = "azure-native:storage:ManagementPolicy"
READER = "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
BLOB_GRANT, OWN_ROLE = "gcp:storage/bucketIAMMember:BucketIAMMember", "gcp:projects/iAMCustomRole:IAMCustomRole"
GROUP, INGRESS = "aws:ec2/securityGroup:SecurityGroup", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OWNER = "/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
LAUNCH, SCALE_SET, TEMPLATE = (
    "aws:ec2/launchTemplate:LaunchTemplate",
    "azure-native:compute:VirtualMachineScaleSet",
    "gcp:compute/instanceTemplate:InstanceTemplate",
)
ASSIGNMENT = "azure-native:authorization:RoleAssignment"
FEDERATED = "azure-native:managedidentity:FederatedIdentityCredential"
AGENTS = "azure-native:containerservice:AgentPool"
AZURE_SUBNET, ARMOR = "azure-native:network:Subnet", "gcp:compute/securityPolicy:SecurityPolicy"
ARMOR_LIMIT, LENT = "rules.2.rateLimitOptions", [{"name": "x", "serviceName": "Microsoft.Web/serverFarms"}]
PRIVATE_ZONE, NAMES = "azure-native:privatedns:PrivateZone", "azure-native:network:PrivateDnsZoneGroup"
VAULTS_ZONE, CONNECTED = "privatelink.vaultcore.azure.net", "privateLinkServiceConnections.0.groupIds"
HALF_A_NAME = 'resource.type == "sqladmin.googleapis.com/Instance" && resource.name == "pointsman-prod-database"'
OF_A_BUCKET = 'resource.name == "x" && resource.type == "storage.googleapis.com/Bucket"'
WAIT = "pulumi-python:dynamic/infra:Wait"
CUSTOM_DATA = "virtualMachineProfile.osProfile.customData"
OPEN_SSH = [
    {
        "direction": "Inbound",
        "access": "Allow",
        "sourceAddressPrefix": "Internet",
        "destinationPortRanges": ["22"],
    }
]
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"

MISTAKES = (
    Mistake(
        "NET-001",
        "aws",
        "a public instance",
        put(RDS, "publiclyAccessible", True),
    ),
    Mistake("NET-001", "azure", "a public server", put(PG, "network.publicNetworkAccess", "Enabled")),
    Mistake("NET-001", "gcp", "a public address", put(SQL, "settings.ipConfiguration.ipv4Enabled", True)),
    Mistake("NET-002", "aws", "a public API", put(EKS, "vpcConfig.endpointPublicAccess", True)),
    Mistake("NET-002", "azure", "a public API", put(AKS, "apiServerAccessProfile", {"enablePrivateCluster": False})),
    Mistake("NET-002", "gcp", "a public API", put(GKE, "privateClusterConfig.enablePrivateEndpoint", False)),
    Mistake("NET-003", "aws", "an open database", put(INGRESS, "cidrIpv4", "0.0.0.0/0", name="-database")),
    Mistake("NET-003", "aws", "SSH at the edge", put(INGRESS, "fromPort", 22, name="-edge-http")),
    Mistake(
        "NET-003",
        "azure",
        "SSH from anywhere",
        put("azure-native:network:NetworkSecurityGroup", "securityRules", OPEN_SSH),
    ),
    Mistake(
        "NET-003",
        "azure",
        "the web past Front Door",
        put("azure-native:network:NetworkSecurityGroup", "securityRules.0.sourceAddressPrefix", "Internet"),
    ),
    Mistake(
        "NET-003",
        "gcp",
        "SSH from anywhere",
        put("gcp:compute/firewall:Firewall", "sourceRanges", ["0.0.0.0/0"], name="-operators"),
        profile="small",
    ),
    Mistake("NET-004", "aws", "no flow log", drop("aws:ec2/flowLog:FlowLog")),
    Mistake("NET-004", "azure", "no flow log", drop("azure-native:network:FlowLog")),
    Mistake("NET-004", "gcp", "a silent subnet", put("gcp:compute/subnetwork:Subnetwork", "logConfig", None)),
    Mistake(
        "NET-005", "aws", "no endpoint for secrets", drop("aws:ec2/vpcEndpoint:VpcEndpoint", name="-secretsmanager")
    ),
    Mistake("NET-005", "azure", "no endpoint for blobs", drop("azure-native:network:PrivateEndpoint", name="-blob")),
    Mistake(
        "NET-005",
        "azure",
        "a shut account that nobody can reach",
        add("azure-native:storage:StorageAccount", {"networkRuleSet": {"defaultAction": "Deny"}}),
    ),
    Mistake(
        "NET-007",
        "azure",
        "an account shut to everybody in dev",
        put("azure-native:storage:StorageAccount", "networkRuleSet.virtualNetworkRules", [], name="obj"),
        profile="dev",
    ),
    Mistake(
        "NET-009",
        "aws",
        "a public name",
        put("aws:ec2/vpcEndpoint:VpcEndpoint", "privateDnsEnabled", False, name="-sts"),
    ),
    Mistake("NET-009", "azure", "no name", drop("azure-native:network:PrivateDnsZoneGroup", name="-blob")),
    Mistake("NET-009", "azure", "no part", put(PRIVATE, "privateLinkServiceConnections.0.groupIds", [])),
    Mistake("NET-009", "azure", "no subnet", put(PRIVATE, "subnet", {})),
    Mistake("NET-009", "azure", "no link", put("azure-native:privatedns:VirtualNetworkLink", "virtualNetwork", None)),
    Mistake("NET-009", "azure", "another's zone", put(PRIVATE_ZONE, "privateZoneName", VAULTS_ZONE, name="-blob")),
    Mistake("NET-009", "azure", "another's part", put(PRIVATE, CONNECTED, ["file"], name="-blob")),
    Mistake("NET-009", "azure", "another's zone in a subnet", put(PRIVATE_ZONE, "privateZoneName", "x", name="gres")),
    Mistake(
        "NET-009",
        "azure",
        "another's zone of the company's",
        both(
            drop(PRIVATE_ZONE, name="-blob"),
            put(NAMES, "privateDnsZoneConfigs.0.privateDnsZoneId", f"/x/privateDnsZones/{VAULTS_ZONE}", name="-blob"),
        ),
    ),
    Mistake("NET-009", "gcp", "no record", drop("gcp:dns/recordSet:RecordSet")),
    Mistake("NET-005", "gcp", "no private Google", drop("gcp:compute/globalForwardingRule:GlobalForwardingRule")),
    Mistake("ENC-001", "aws", "a queue without our key", put("aws:sqs/queue:Queue", "kmsMasterKeyId", None)),
    Mistake("ENC-001", "aws", "an unencrypted database", put(RDS, "storageEncrypted", False)),
    Mistake("ENC-001", "azure", "Microsoft's key", put(ACCOUNT, "encryption.keyVaultProperties", None)),
    Mistake(
        "ENC-001", "azure", "Premium without our key", put("azure-native:servicebus:Namespace", "sku.tier", "Premium")
    ),
    Mistake("ENC-001", "gcp", "Google's key", put(GCS, "encryption", None)),
    Mistake(
        "ENC-002",
        "aws",
        "an old TLS policy",
        put("aws:lb/listener:Listener", "sslPolicy", "ELBSecurityPolicy-2016-08", name="-https"),
    ),
    Mistake("ENC-002", "aws", "plain SQL", put("aws:rds/parameterGroup:ParameterGroup", "parameters", [])),
    Mistake("ENC-002", "azure", "an old log-in to the database", drop(FLEX_SETTING, name="-ssl-min-protocol-version")),
    Mistake("DB-006", "azure", "no vectors", drop(FLEX_SETTING, name="-azure-extensions")),
    Mistake("STO-003", "azure", "a rule switched off", put(TIDY, "policy.rules.0.enabled", False)),
    Mistake("ENC-002", "azure", "TLS 1.0", put(ACCOUNT, "minimumTlsVersion", "TLS1_0")),
    Mistake(
        "ENC-002", "gcp", "plain SQL", put(SQL, "settings.ipConfiguration.sslMode", "ALLOW_UNENCRYPTED_AND_ENCRYPTED")
    ),
    Mistake("ENC-003", "aws", "a key for ever", put("aws:kms/key:Key", "enableKeyRotation", False)),
    Mistake("ENC-003", "azure", "a key for ever", put("azure-native:keyvault:Key", "properties.rotationPolicy", None)),
    Mistake("ENC-003", "gcp", "a key for two years", put("gcp:kms/cryptoKey:CryptoKey", "rotationPeriod", "63072000s")),
    Mistake("ENC-004", "aws", "plain secrets", put(EKS, "encryptionConfig", None)),
    Mistake("ENC-004", "azure", "plain secrets", put(AKS, "securityProfile.azureKeyVaultKms", None)),
    Mistake("ENC-004", "gcp", "plain secrets", put(GKE, "databaseEncryption.state", "DECRYPTED")),
    Mistake("ENC-004", "aws", "k3s without encryption", put(LAUNCH, "userData", "IyEvYmluL2Jhc2g="), profile="small"),
    Mistake(
        "ENC-004", "azure", "k3s without encryption", put(SCALE_SET, CUSTOM_DATA, "IyEvYmluL2Jhc2g="), profile="small"
    ),
    Mistake(
        "ENC-004",
        "gcp",
        "k3s without encryption",
        put(TEMPLATE, "metadataStartupScript", "#!/bin/bash"),
        profile="small",
    ),
    Mistake("IAM-001", "aws", "every S3 action", put(ROLE_POLICY, "policy", ALL)),
    Mistake(
        "IAM-001",
        "azure",
        "a role for everything",
        add("azure-native:authorization:RoleDefinition", {"permissions": [{"actions": ["*"]}]}),
    ),
    Mistake(
        "IAM-001",
        "gcp",
        "the right to grant",
        put("gcp:projects/iAMCustomRole:IAMCustomRole", "permissions", ["a.b.setIamPolicy"]),
    ),
    Mistake(
        "IAM-002",
        "aws",
        "an administrator",
        put(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "policyArn",
            "arn:aws:iam::aws:policy/AdministratorAccess",
        ),
    ),
    Mistake(
        "IAM-002", "azure", "an owner", put("azure-native:authorization:RoleAssignment", "roleDefinitionId", OWNER)
    ),
    Mistake("IAM-002", "gcp", "an editor", put("gcp:projects/iAMMember:IAMMember", "role", "roles/editor")),
    Mistake(
        "IAM-002",
        "gcp",
        "an object admin",
        put("gcp:storage/bucketIAMMember:BucketIAMMember", "role", "roles/storage.objectAdmin"),
    ),
    Mistake("IAM-003", "aws", "an access key", add("aws:iam/accessKey:AccessKey", {"user": "x"})),
    Mistake("IAM-005", "azure", "shared keys", put(ACCOUNT, "allowSharedKeyAccess", True)),
    Mistake("IAM-003", "gcp", "a key file", add("gcp:serviceaccount/key:Key", {"serviceAccountId": "x"})),
    *(
        Mistake("IAM-004", c, "one for two", promise("identity.principals", {"gateway": "x", "worker": "x"}))
        for c in ("aws", "azure", "gcp")
    ),
    Mistake("IAM-005", "aws", "no IAM sign-in", put(RDS, "iamDatabaseAuthenticationEnabled", False)),
    Mistake("IAM-005", "azure", "passwords", put(PG, "authConfig.passwordAuth", "Enabled")),
    Mistake("IAM-005", "gcp", "a built-in user", put("gcp:sql/user:User", "type", "BUILT_IN")),
    Mistake("IAM-006", "aws", "words that grant nothing", put(ROLE_POLICY, "policy", "{}", name="-worker")),
    Mistake(
        "IAM-006", "aws", "nothing for the node", put(ROLE_POLICY, "policy", ALL, name="-workloads"), profile="small"
    ),
    Mistake("IAM-006", "azure", "words that grant nothing", drop(ASSIGNMENT, name="-worker-bus-publish")),
    Mistake(
        "IAM-006",
        "gcp",
        "words that grant nothing",
        drop("gcp:pubsub/topicIAMMember:TopicIAMMember", name="-worker-bus-publish"),
    ),
    Mistake("IAM-006", "aws", "a statement about nothing", say("-worker", "BusPublish", Resource=[])),
    Mistake("IAM-007", "aws", "too little", say("-worker", "DocumentsWrite1", Action=["s3:PutObject"])),
    Mistake("IAM-007", "aws", "a service nobody knows", say("-worker", "BusPublish", Action=["mq:Send"])),
    Mistake(
        "IAM-007", "azure", "a reader who writes", put(ASSIGNMENT, "roleDefinitionId", READER, name="-documents-write")
    ),
    Mistake(
        "IAM-007",
        "gcp",
        "a reader who writes",
        put(BLOB_GRANT, "role", "roles/storage.objectViewer", name="-lake-write"),
    ),
    Mistake(
        "IAM-007", "gcp", "half a log-in", drop("gcp:projects/iAMMember:IAMMember", name="-worker-database-client")
    ),
    Mistake("IAM-007", "gcp", "a role of ours", put(OWN_ROLE, "permissions", ["dns.changes.get"], name="-prove-names")),
    Mistake("IAM-008", "aws", "a log-in without its users", say("-worker", "Database", Resource=[DB_USER + "gateway"])),
    Mistake("IAM-008", "aws", "a log-in nobody knows", say("-worker", "Database", Action=["redshift:Login"])),
    Mistake(
        "IAM-008",
        "aws",
        "a user in no group",
        both(say("-worker", "Database", Action=[CACHE_LOGIN]), add("aws:elasticache/user:User", {"userId": "worker"})),
    ),
    Mistake("IAM-008", "aws", "users of a cache that are not made", say("-worker", "Database", Action=[CACHE_LOGIN])),
    Mistake("IAM-001", "gcp", "another type", put(PROJECT_GRANT, "condition.expression", OF_A_BUCKET, name="-client")),
    Mistake(
        "IAM-001",
        "gcp",
        "half a name",
        put(PROJECT_GRANT, "condition.expression", HALF_A_NAME, name="-worker-database-client"),
    ),
    Mistake("IAM-001", "gcp", "no resource", put(PROJECT_GRANT, "condition.expression", "a", name="-client")),
    Mistake("IAM-001", "gcp", "a superuser", put("gcp:sql/user:User", "databaseRoles", ["cloudsqlsuperuser"])),
    Mistake("IAM-001", "aws", "all of a cache", add("aws:elasticache/user:User", {"accessString": "on ~* +@all"})),
    Mistake("IAM-001", "azure", "all of a cache", add("azure-native:redis:AccessPolicy", {"permissions": "+@all ~*"})),
    Mistake("IAM-001", "gcp", "every database", put(PROJECT_GRANT, "condition", None, name="-worker-database-client")),
    Mistake("IAM-009", "aws", "a backup without its role", drop(ATTACHED, name="-service-role/" + BACK_UP)),
    Mistake(
        "IAM-009", "azure", "a cluster that reads no key", put(ASSIGNMENT, "roleDefinitionId", READER, name="r-key")
    ),
    Mistake("IAM-009", "azure", "an identity not carried", put(PG, "identity", None)),
    Mistake(
        "IAM-009", "gcp", "dead letters not written", drop("gcp:pubsub/topicIAMMember:TopicIAMMember", name="-letters")
    ),
    Mistake(
        "STO-001", "aws", "no block", drop("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", name="-documents")
    ),
    Mistake("STO-001", "azure", "public blobs", put(ACCOUNT, "allowBlobPublicAccess", True)),
    Mistake("STO-001", "gcp", "no prevention", put(GCS, "publicAccessPrevention", "inherited")),
    Mistake(
        "STO-002",
        "aws",
        "no versions",
        put("aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status", "Suspended"),
    ),
    Mistake("STO-002", "azure", "nothing said of versions", drop(BLOBS)),
    Mistake("STO-002", "azure", "no versions", put(BLOBS, "isVersioningEnabled", False)),
    Mistake("STO-002", "gcp", "no versions", put(GCS, "versioning.enabled", False)),
    Mistake(
        "STO-003",
        "aws",
        "no end",
        drop("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", name="-models"),
    ),
    Mistake("STO-003", "azure", "no end", drop("azure-native:storage:ManagementPolicy", name="-audit")),
    Mistake("STO-003", "gcp", "no end", put(GCS, "lifecycleRules", [])),
    Mistake("DB-001", "aws", "13 days in prod", put(RDS, "backupRetentionPeriod", 13)),
    Mistake("DB-001", "azure", "13 days in prod", put(PG, "backup.backupRetentionDays", 13)),
    Mistake(
        "DB-001",
        "gcp",
        "13 days in prod",
        put(SQL, "settings.backupConfiguration.backupRetentionSettings.retainedBackups", 13),
    ),
    Mistake("DB-002", "aws", "one zone", put(RDS, "multiAz", False)),
    Mistake("DB-002", "azure", "one zone", put(PG, "highAvailability.mode", "Disabled")),
    Mistake("DB-002", "gcp", "one zone", put(SQL, "settings.availabilityType", "ZONAL")),
    Mistake("DB-003", "aws", "no protection", put(RDS, "deletionProtection", False)),
    Mistake("DB-003", "azure", "no protection", unprotect(PG)),
    Mistake("DB-005", "aws", "values in the log", put("aws:rds/parameterGroup:ParameterGroup", "parameters", [])),
    Mistake("DB-005", "azure", "values in the log", drop(FLEX_SETTING, name="-log-parameter-max-length")),
    Mistake("DB-005", "gcp", "values in the log", put(SQL, "settings.databaseFlags", [])),
    Mistake(
        "NET-010",
        "aws",
        "the door of another port",
        put("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "toPort", 5431, name="-database"),
    ),
    Mistake("NET-010", "azure", "another port", put(PG, "port", 6432)),
    Mistake("NET-010", "gcp", "another port", put(SQL, "port", 6432)),
    Mistake("DB-007", "aws", "full one day", put(RDS, "maxAllocatedStorage", None)),
    Mistake("DB-007", "azure", "full one day", put(PG, "storage.autoGrow", "Disabled")),
    Mistake("DB-007", "gcp", "full one day", put(SQL, "settings.diskAutoresize", False)),
    Mistake("DB-007", "aws", "set back", heed(RDS)),
    Mistake("DB-007", "azure", "set back", heed(PG)),
    Mistake("DB-007", "gcp", "set back", heed(SQL)),
    Mistake("DB-006", "aws", "no database", put(RDS, "dbName", None)),
    Mistake("DB-006", "azure", "no database", drop("azure-native:dbforpostgresql:Database")),
    Mistake("DB-006", "gcp", "no database", drop("gcp:sql/database:Database")),
    Mistake("DB-001", "gcp", "backups off", put(SQL, "settings.backupConfiguration.enabled", False)),
    Mistake("OPS-005", "azure", "a group of no region", put("azure-native:resources:ResourceGroup", "location", None)),
    Mistake("OPS-007", "azure", "a vault nobody watches", drop(DIAGNOSTIC, name="-secrets")),
    Mistake(
        "OPS-007", "gcp", "objects nobody watches", drop("gcp:projects/iAMAuditConfig:IAMAuditConfig", name="-storage")
    ),
    Mistake(
        "REF-001",
        "azure",
        "a topic on Basic",
        put("azure-native:servicebus:Namespace", "sku.name", "Basic"),
    ),
    Mistake(
        "REF-001",
        "azure",
        "a machine that comes back as another",
        put(SCALE_SET, "virtualMachineProfile.evictionPolicy", "Delete"),
        profile="small",
    ),
    Mistake("REF-001", "azure", "a grant of no type", put(ASSIGNMENT, "principalType", None)),
    Mistake(
        "REF-001", "azure", "a vault shut to all", put(VAULT, "properties.networkAcls.bypass", "None", name="-keys")
    ),
    Mistake("ENC-003", "azure", "a rotation at no time", put(VAULT_KEY, LIFETIME, [{"action": {"type": "rotate"}}])),
    Mistake("EQ-002", "azure", "a lake that is not there", promise("objects.lake", "")),
    Mistake("EQ-002", "aws", "one machine called a cluster", promise("profile", "small")),
    Mistake("EQ-002", "aws", "a text that is empty in prod", promise("edge.zone", "")),
    Mistake("EQ-002", "gcp", "no name to log in by", promise("database.users", {"gateway": "gateway"})),
    Mistake("DB-003", "gcp", "no protection", put(SQL, "deletionProtection", False)),
    Mistake("DB-004", "aws", "no export", put(RDS, "enabledCloudwatchLogsExports", [])),
    Mistake("DB-004", "aws", "log group of RDS's own", drop("aws:cloudwatch/logGroup:LogGroup", name="-database")),
    Mistake("DB-004", "azure", "no export", drop(DIAGNOSTIC, name="-database")),
    Mistake(
        "DB-004",
        "gcp",
        "no slow statements",
        put(SQL, "settings.databaseFlags", [{"name": "cloudsql.iam_authentication", "value": "on"}]),
    ),
    Mistake("K8S-001", "aws", "no audit", put(EKS, "enabledClusterLogTypes", ["api"])),
    Mistake("K8S-001", "azure", "no audit", drop(DIAGNOSTIC, name="-cluster")),
    Mistake("K8S-001", "gcp", "no audit", put(GKE, "loggingConfig.enableComponents", ["WORKLOADS"])),
    Mistake("K8S-002", "aws", "no pod identity", drop("aws:eks/podIdentityAssociation:PodIdentityAssociation")),
    Mistake("K8S-002", "azure", "no pod identity", put(AKS, "securityProfile.workloadIdentity.enabled", False)),
    Mistake("K8S-002", "gcp", "no pod identity", put(GKE, "workloadIdentityConfig", None)),
    Mistake("REG-001", "aws", "moving tags", put("aws:ecr/repository:Repository", "imageTagMutability", "MUTABLE")),
    Mistake(
        "REG-001",
        "gcp",
        "moving tags",
        put("gcp:artifactregistry/repository:Repository", "dockerConfig.immutableTags", False),
    ),
    Mistake(
        "REG-002",
        "aws",
        "no scan",
        put("aws:ecr/repository:Repository", "imageScanningConfiguration.scanOnPush", False),
    ),
    Mistake("REG-002", "azure", "no Defender", put("azure-native:security:Pricing", "pricingTier", "Free")),
    Mistake(
        "REG-002",
        "gcp",
        "no scan",
        put("gcp:artifactregistry/repository:Repository", "vulnerabilityScanningConfig.enablementConfig", "DISABLED"),
    ),
    Mistake("BUS-002", "aws", "nobody hears", drop("aws:sns/topicSubscription:TopicSubscription", name="-events")),
    Mistake("BUS-002", "gcp", "nobody hears", drop("gcp:pubsub/subscription:Subscription", name="-events")),
    Mistake("BUS-002", "azure", "nobody hears", drop("azure-native:servicebus:Subscription")),
    Mistake("BUS-001", "aws", "no dead letters", put("aws:sqs/queue:Queue", "redrivePolicy", None, name="-events")),
    Mistake(
        "BUS-001",
        "azure",
        "no dead letters",
        put("azure-native:servicebus:Subscription", "deadLetteringOnMessageExpiration", False),
    ),
    Mistake(
        "BUS-001",
        "gcp",
        "no dead letters",
        put("gcp:pubsub/subscription:Subscription", "deadLetterPolicy", None, name="-events"),
    ),
    Mistake("SEC-001", "aws", "a password", put(RDS, "masterPassword", "correct horse")),
    Mistake("SEC-001", "azure", "a password", put(PG, "administratorLoginPassword", "correct horse")),
    Mistake("SEC-001", "gcp", "a private key", put(SQL, "settings.userLabels.note", "-----BEGIN PRIVATE KEY-----")),
    Mistake("OPS-001", "aws", "no owner", put(BUCKET, "tags", {"application": "x"})),
    Mistake("OPS-001", "azure", "no owner", put(ACCOUNT, "tags", {})),
    Mistake("OPS-001", "gcp", "no owner", put(SQL, "settings.userLabels", {})),
    Mistake("OPS-002", "aws", "no budget", drop("aws:budgets/budget:Budget")),
    Mistake("OPS-002", "azure", "a silent budget", put("azure-native:consumption:Budget", "notifications", {})),
    Mistake(
        "OPS-002", "gcp", "a late budget", put("gcp:billing/budget:Budget", "thresholdRules", [{"thresholdPercent": 2}])
    ),
    Mistake("OPS-003", "aws", "logs for ever", put("aws:cloudwatch/logGroup:LogGroup", "retentionInDays", None)),
    Mistake(
        "OPS-003", "azure", "the default", put("azure-native:operationalinsights:Workspace", "retentionInDays", None)
    ),
    Mistake(
        "OPS-003",
        "gcp",
        "the default",
        put("gcp:logging/projectBucketConfig:ProjectBucketConfig", "retentionDays", None),
    ),
    Mistake("OPS-004", "aws", "an unprotected bucket", unprotect(BUCKET)),
    Mistake("OPS-004", "azure", "an unprotected vault", unprotect("azure-native:keyvault:Vault")),
    Mistake("OPS-004", "gcp", "an unprotected key", unprotect("gcp:kms/cryptoKey:CryptoKey")),
    *(
        Mistake("OPS-005", c, "another region", add("x:y:Z", {"location": "mars-north1"}))
        for c in ("aws", "azure", "gcp")
    ),
    Mistake("OPS-005", "azure", "a region of a like name", add("x:y:Z", {"location": "eastus2"})),
    Mistake("LLM-001", "aws", "public prompts", drop("aws:ec2/vpcEndpoint:VpcEndpoint", name="-bedrock-runtime")),
    Mistake(
        "LLM-001",
        "azure",
        "public prompts",
        put("azure-native:cognitiveservices:Account", "properties.publicNetworkAccess", "Enabled"),
    ),
    Mistake(
        "LLM-001",
        "azure",
        "open to all networks in dev",
        put("azure-native:cognitiveservices:Account", "properties.networkAcls.defaultAction", "Allow"),
        profile="dev",
    ),
    Mistake("LLM-001", "gcp", "public prompts", drop("gcp:compute/globalForwardingRule:GlobalForwardingRule")),
    Mistake(
        "LLM-002",
        "aws",
        "no log",
        drop("aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration"),
    ),
    Mistake(
        "LLM-002",
        "aws",
        "prompts in the log",
        put(
            "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",
            "loggingConfig.textDataDeliveryEnabled",
            True,
        ),
    ),
    Mistake("LLM-002", "azure", "no log", drop(DIAGNOSTIC, name="-openai")),
    Mistake("LLM-002", "gcp", "no log", drop("gcp:projects/iAMAuditConfig:IAMAuditConfig", name="-aiplatform")),
    Mistake("LLM-003", "aws", "every model", put(ROLE_POLICY, "policy", ASK_ALL)),
    Mistake(
        "LLM-003",
        "azure",
        "an unnamed model",
        put("azure-native:cognitiveservices:Deployment", "deploymentName", "gpt-99"),
    ),
    Mistake(
        "LLM-003",
        "gcp",
        "far more than asking",
        put("gcp:projects/iAMMember:IAMMember", "role", "roles/aiplatform.user"),
    ),
    Mistake("DEP-001", "gcp", "an API that is off", hurry("gcp:monitoring/notificationChannel:NotificationChannel")),
    Mistake("DEP-001", "gcp", "an API nobody knows", add("gcp:quantum/computer:Computer", {})),
    Mistake(
        "DEP-002", "aws", "a pod without a cluster", hurry("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    ),
    Mistake("DEP-002", "azure", "an issuer as text", hurry(FEDERATED, name="-gateway")),
    Mistake("DEP-002", "gcp", "a pool of identities as text", hurry("gcp:serviceaccount/iAMMember:IAMMember")),
    Mistake("DEP-003", "aws", "a log before its grant", forget("aws:ec2/flowLog:FlowLog", "RolePolicy")),
    Mistake("DEP-003", "aws", "a cluster before its grants", forget(EKS, "RolePolicyAttachment")),
    Mistake("DEP-003", "azure", "a key not yet granted", forget(PG, "infra:Wait")),
    Mistake("DEP-003", "azure", "a wait for nothing", hurry(WAIT, name="-backup")),
    Mistake("DEP-003", "gcp", "a key not yet granted", hurry(WAIT, name="-keys")),
    Mistake(
        "DEP-003",
        "gcp",
        "an agent without the key",
        drop("gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember", name="-sqladmin"),
    ),
    Mistake("K8S-003", "aws", "no pool of workers", promise("cluster.manifests", [])),
    Mistake("K8S-003", "azure", "a pool that takes everybody", put(AGENTS, "nodeTaints", [], name="-gpu")),
    Mistake("K8S-003", "gcp", "a pool of another name", put("gcp:container/nodePool:NodePool", "name", "pool")),
    Mistake("DEP-005", "azure", "two settings at once", hurry(FLEX_SETTING)),
    Mistake("DEP-004", "aws", "nodes without a way out", forget(EKS, "Route::")),
    Mistake("DEP-004", "aws", "a NAT without a gateway", forget("aws:ec2/natGateway:NatGateway", "InternetGateway")),
    Mistake("DEP-004", "azure", "a zone not linked", forget(PG, "VirtualNetworkLink")),
    Mistake("NET-008", "aws", "a group before nothing", forget(RDS, "securityGroup:SecurityGroup")),
    Mistake("NET-008", "aws", "a group that lets nobody in", drop(INGRESS, name="-database")),
    Mistake("NET-008", "aws", "a group of another network", put(GROUP, "vpcId", None)),
    Mistake("NET-008", "aws", "a way in for nobody", put(INGRESS, "cidrIpv4", None, name="-database")),
    Mistake("NET-008", "aws", "a way in to nowhere", put(INGRESS, "fromPort", None, name="-database")),
    Mistake("NET-006", "aws", "in the default network", put(RDS, "dbSubnetGroupName", None)),
    Mistake("NET-006", "aws", "behind the default group", put(RDS, "vpcSecurityGroupIds", None)),
    Mistake("DEP-004", "gcp", "no peering anywhere", drop("gcp:servicenetworking/connection:Connection")),
    Mistake("DEP-004", "gcp", "no peering", forget(SQL, "servicenetworking")),
    Mistake("DEP-004", "gcp", "nodes without a way out", forget(GKE, "RouterNat")),
    Mistake("OPS-006", "aws", "a bucket that stays", put(BUCKET, "forceDestroy", False), profile="dev"),
    Mistake("OPS-006", "aws", "a bucket that goes", put(BUCKET, "forceDestroy", True)),
    Mistake("OPS-006", "gcp", "a bucket that goes", put(GCS, "forceDestroy", True)),
    Mistake("REF-001", "aws", "a zone without EKS", put("aws:ec2/subnet:Subnet", "availabilityZoneId", "use1-az3")),
    Mistake("REF-001", "aws", "one zone", put(EKS, "vpcConfig.subnetIds", ["subnet-1"])),
    Mistake(
        "REF-001",
        "azure",
        "our key for a registry",
        put("azure-native:containerregistry:Registry", "encryption", {"keyVaultProperties": {"identity": "x"}}),
    ),
    Mistake("REF-001", "azure", "two years of flows", put("azure-native:network:FlowLog", "retentionPolicy.days", 400)),
    Mistake("REF-001", "azure", "a burstable pair", put(PG, "sku.tier", "Burstable")),
    Mistake("REF-001", "azure", "no NAT", drop("azure-native:network:NatGateway")),
    Mistake("REF-001", "gcp", "nobody pays for the call", drop("pulumi:providers:gcp")),
    Mistake(
        "REF-002",
        "aws",
        "tickets blocked",
        put("aws:wafv2/webAcl:WebAcl", "rules.1.statement.managedRuleGroupStatement.scopeDownStatement", None),
    ),
    Mistake(
        "REF-002",
        "gcp",
        "tickets blocked",
        put(
            "gcp:compute/securityPolicy:SecurityPolicy",
            "rules.0.match.expr.expression",
            "evaluatePreconfiguredWaf('xss-v33-stable')",
        ),
    ),
    Mistake("LLM-003", "azure", "a model that is not there", drop("azure-native:cognitiveservices:Deployment")),
    Mistake("IAM-009", "azure", "an identity not said", put(PG, "identity.type", None)),
    Mistake("REF-006", "aws", "names that mean nothing inside", put("aws:ec2/vpc:Vpc", "enableDnsHostnames", False)),
    Mistake("REF-006", "azure", "a way out that nobody asked for", put(AZURE_SUBNET, "defaultOutboundAccess", None)),
    Mistake("REF-006", "gcp", "a limit for everybody at once", put(ARMOR, ARMOR_LIMIT, {"enforceOnKey": "ALL"})),
    Mistake("REF-007", "aws", "a balancer past the WAF", drop("aws:wafv2/webAclAssociation:WebAclAssociation")),
    Mistake("REF-007", "azure", "a policy of no domain", drop("azure-native:cdn:SecurityPolicy")),
    Mistake("REF-007", "gcp", "a proof that nobody gives", drop("gcp:dns/recordSet:RecordSet", name="-certificate")),
    Mistake("REF-008", "aws", "no record", drop("aws:route53/record:Record", name="-entry")),
    Mistake("REF-008", "azure", "no origin", drop("azure-native:dns:RecordSet", name="-origin")),
    Mistake("REF-008", "gcp", "no record of the chat", drop("gcp:dns/recordSet:RecordSet", name="-entry-chat")),
    Mistake("K8S-002", "azure", "an identity that no pod has", drop(FEDERATED, name="-rag")),
    Mistake(
        "K8S-002", "gcp", "an account that no pod has", drop("gcp:serviceaccount/iAMMember:IAMMember", name="-rag")
    ),
    Mistake("DEP-005", "azure", "two subnets at once", hurry(AZURE_SUBNET, name="-endpoints")),
    Mistake(
        "NET-007", "azure", "a subnet without the way", put(AZURE_SUBNET, "serviceEndpoints", [], name="nodes"), "dev"
    ),
    Mistake("NET-009", "azure", "a subnet that is not lent", put(AZURE_SUBNET, "delegations", None, name="-data")),
    Mistake("NET-009", "azure", "an endpoint among guests", put(AZURE_SUBNET, "delegations", LENT, name="-endpoints")),
    Mistake("REF-001", "gcp", "pods of no range", put("gcp:compute/subnetwork:Subnetwork", "secondaryIpRanges", [])),
    Mistake("REF-001", "gcp", "no way out", drop("gcp:compute/routerNat:RouterNat")),
    Mistake("DB-006", "gcp", "nobody makes users", put("gcp:sql/user:User", "databaseRoles", None, name="-migrator")),
    Mistake("REF-003", "aws", "a target of nobody", put("aws:lb/targetGroup:TargetGroup", "tags", {})),
    Mistake("REF-003", "aws", "a closed group", drop(INGRESS, name="-gateway")),
    Mistake("REF-003", "azure", "an address of nobody", drop(ASSIGNMENT, name="prod-gateway")),
    Mistake("REF-004", "aws", "nobody writes", drop(ROLE_POLICY, name="-telemetry")),
    Mistake("REF-004", "azure", "nobody writes", drop(ASSIGNMENT, name="-telemetry-telemetry-send")),
    Mistake("REF-004", "azure", "no rule", drop("azure-native:monitor:DataCollectionRuleAssociation")),
    Mistake(
        "REF-004", "gcp", "nobody writes", drop("gcp:projects/iAMMember:IAMMember", name="-telemetry-send-cloudtrace")
    ),
    Mistake("REF-005", "aws", "everybody's bill", put("aws:budgets/budget:Budget", "costFilters", [])),
    Mistake("REF-005", "gcp", "everybody's bill", put("gcp:billing/budget:Budget", "budgetFilter.labels", {})),
    Mistake(
        "NET-006",
        "aws",
        "an instance with an address",
        put("aws:rds/instance:Instance", "publiclyAccessible", True),
    ),
    Mistake(
        "NET-006",
        "azure",
        "an open account",
        put("azure-native:storage:StorageAccount", "networkRuleSet.defaultAction", "Allow"),
    ),
    Mistake("NET-006", "gcp", "a bucket that may be public", put(GCS, "publicAccessPrevention", "inherited")),
    *(
        Mistake("EQ-003", c, "a type nobody knows", add(f"{c}:quantum/cache:Cache", {}))
        for c in ("aws", "azure", "gcp")
    ),
    Mistake("EQ-004", "aws", "a backup plan without a vault", drop("aws:backup/vault:Vault")),
    Mistake("EQ-004", "azure", "traces without a workspace", drop("azure-native:operationalinsights:Workspace")),
    Mistake("EQ-004", "gcp", "a subscription to nothing", drop("gcp:pubsub/topic:Topic")),
    *(
        Mistake("EQ-001", c, "built, and the contract is silent", promise("ci.principal", ""))
        for c in ("aws", "azure", "gcp")
    ),
    *(Mistake("EQ-001", c, "no bus", without("bus")) for c in ("aws", "azure", "gcp")),
    *(Mistake("EQ-002", c, "no host", promise("database.host", "")) for c in ("aws", "azure", "gcp")),
)
