"""The two files in `cluster.deploy`, from where the machine of `small` takes what it runs."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pulumi

from infra.contract import Contract
from infra.node import ADDONS, WORKLOADS
from k8s.platform.objects import group_of

__all__ = ["ADDONS", "WORKLOADS", "put"]


def put(contract: Contract, name: str, text: str) -> None:
    PUTTERS[contract.cloud](contract, name, text)


def _aws(contract: Contract, name: str, text: str) -> None:
    import pulumi_aws as aws

    provider = aws.Provider("cloud", region=contract.region)
    bucket = urlsplit(contract.cluster.deploy).netloc
    opts = pulumi.ResourceOptions(provider=provider)
    aws.s3.BucketObjectv2(name, bucket=bucket, key=name, content=text, content_type="application/yaml", opts=opts)


def _azure(contract: Contract, name: str, text: str) -> None:
    from pulumi_azure_native import storage

    where = urlsplit(contract.cluster.deploy)  # abfss://container@account.dfs.core.windows.net
    storage.Blob(
        name,
        resource_group_name=group_of(contract.secrets.store),
        account_name=(where.hostname or "").partition(".")[0],
        container_name=where.username or "",
        blob_name=name,
        source=pulumi.StringAsset(text),
        content_type="application/yaml",
    )


def _gcp(contract: Contract, name: str, text: str) -> None:
    import pulumi_gcp as gcp

    bucket = urlsplit(contract.cluster.deploy).netloc
    gcp.storage.BucketObject(name, bucket=bucket, name=name, content=text, content_type="application/yaml")


PUTTERS: dict[str, Callable[[Contract, str, str], None]] = {"aws": _aws, "azure": _azure, "gcp": _gcp}
