"""What the clouds answer offline: data sources, and outputs whose form matters to a consumer."""

from base64 import b64encode
from typing import Any

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"
AWS_ACCOUNT = "123456789012"

_KUBECONFIG = "clusters: [{name: c, cluster: {certificate-authority-data: b2ZmbGluZQ==}}]"

_ZONES_OF_US_EAST_1 = ["use1-az3", "use1-az1", "use1-az2", "use1-az4", "use1-az5", "use1-az6"]

CALLS: dict[str, Any] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda a: {
        "id": "zones",
        "names": [],
        "zoneIds": [z for z in _ZONES_OF_US_EAST_1 if z not in a.get("excludeZoneIds", ())],
        "groupNames": [],
    },
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": AWS_ACCOUNT,
        "arn": f"arn:aws:iam::{AWS_ACCOUNT}:user/offline",
        "id": AWS_ACCOUNT,
        "userId": "offline",
    },
    "aws:index/getPartition:getPartition": lambda _: {
        "dnsSuffix": "amazonaws.com",
        "id": "aws",
        "partition": "aws",
        "reverseDnsPrefix": "com.amazonaws",
    },
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": lambda _: {"id": "pl-offline"},
    "aws:ssm/getParameter:getParameter": lambda a: {
        "id": a["name"],
        "value": "ami-0offline",
        "insecureValue": "ami-0offline",
    },
    "azure-native:authorization:getClientConfig": lambda _: {
        "clientId": "offline",
        "objectId": "00000000-0000-0000-0000-000000000003",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    },
    "azure-native:containerservice:listManagedClusterUserCredentials": lambda _: {
        "kubeconfigs": [{"name": "clusterUser", "value": b64encode(_KUBECONFIG.encode()).decode()}]
    },
    "gcp:organizations/getProject:getProject": lambda a: {
        "id": "projects/offline",
        "number": "123456789012",
        "projectId": a.get("projectId", "offline"),
    },
    "gcp:logging/getProjectCmekSettings:getProjectCmekSettings": lambda a: {
        "id": "cmek",
        "kmsKeyName": "",
        "kmsKeyVersionName": "",
        "name": "cmek",
        "project": a.get("project", "offline"),
        "serviceAccountId": "cmek-p123456789012@gcp-sa-logging.iam.gserviceaccount.com",
    },
    "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": lambda a: {
        "emailAddress": "service-123456789012@gs-project-accounts.iam.gserviceaccount.com",
        "id": "gs",
        "member": "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com",
    },
}


def _azure_id(a: Any, what: str) -> str:
    """From which the platform layer reads the resource group."""
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{a.inputs['resourceGroupName']}/providers/{what}"


OUTPUTS: dict[str, Any] = {
    "azure-native:resources:ResourceGroup": lambda a: {"name": a.inputs.get("resourceGroupName", a.name)},
    "azure-native:containerregistry:Registry": lambda a: {"loginServer": f"{a.name}.azurecr.io"},
    "azure-native:dns:Zone": lambda a: {
        "id": _azure_id(a, f"Microsoft.Network/dnszones/{a.inputs.get('zoneName', a.name)}")
    },
    "azure-native:keyvault:Vault": lambda a: {
        "id": _azure_id(a, f"Microsoft.KeyVault/vaults/{a.name}"),
        "properties": {**a.inputs["properties"], "vaultUri": f"https://{a.name}.vault.azure.net/"},
    },
    "gcp:storage/bucket:Bucket": lambda a: {"url": f"gs://{a.name}", "name": a.name},
    "aws:bedrock/inferenceProfile:InferenceProfile": lambda a: {
        "arn": f"arn:aws:bedrock:us-east-1:{AWS_ACCOUNT}:application-inference-profile/{a.inputs['name']}"
    },
    "aws:acm/certificate:Certificate": lambda a: {
        "domainValidationOptions": [
            {
                "domainName": a.inputs["domainName"],
                "resourceRecordName": f"_check.{a.inputs['domainName']}",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": "_check.acm-validations.aws",
            }
        ]
    },
}
