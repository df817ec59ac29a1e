"""
The cluster of `small`: one machine with k3s in a managed group of one, on spot; the group makes it anew when taken.

Its state is the database and the buckets; its address is reserved. Ingress: 80, 443, and 22 from Google's tunnel only.
"""

import pulumi_gcp as gcp
from pulumi import Output

from infra.capabilities import Cluster, Ground, Scope, Stores
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation
from infra.gcp.network import EDGE_TAG
from infra.node import CERTIFICATES, STATUS, boot_script

# by GiB; the one of 8 costs 18 USD a month on spot in us-central1 (design/adr/0051)
MACHINE = {4: "e2-medium", 8: "n2d-standard-2", 16: "n2d-standard-4"}
DISK_GB = 30
IMAGE = "projects/debian-cloud/global/images/family/debian-12"


def build(scope: Scope, ground: Ground[GcpFoundation], stores: Stores) -> Cluster:
    account = access.account(scope, "node", "The one machine")
    _grants(scope, stores, account)
    address = gcp.compute.Address(
        scope.name("node"), region=scope.settings.region, address_type="EXTERNAL", opts=scope.own()
    )
    template = _template(scope, ground, account, address, _boot(stores))
    zone = f"{scope.settings.region}-b"  # every region has a zone b; us-east1 and europe-west1 have no a
    gcp.compute.InstanceGroupManager(
        scope.name("node"),
        base_instance_name=scope.name("node"),
        zone=zone,
        target_size=1,
        versions=[{"instance_template": template.self_link_unique}],
        # One address, so the old machine goes before the new one comes.
        update_policy={
            "type": "PROACTIVE",
            "minimal_action": "REPLACE",
            "replacement_method": "RECREATE",
            "max_surge_fixed": 0,
            "max_unavailable_fixed": 1,
        },
        opts=scope.own(),
    )
    return Cluster(
        name=scope.name("node"),
        kind="k3s",
        arch="amd64",
        endpoint=Output.concat("https://", address.address, ":6443"),
        node=account.email,
        node_name=account.name,
        node_client=account.email,
        address=address.address,
        deploy=stores.objects.urls["deploy"],
    )


def _grants(scope: Scope, stores: Stores, account: gcp.serviceaccount.Account) -> None:
    member = access.of(account.email)
    gcp.storage.BucketIAMMember(
        scope.name("node-deploy"),
        bucket=stores.objects.names["deploy"],
        role="roles/storage.objectViewer",
        member=member,
        opts=scope.own(),
    )
    deploy = stores.objects.names["deploy"]
    written = Output.concat('"projects/_/buckets/', deploy, "/objects/")
    names = [Output.concat("resource.name == ", written, name, '"') for name in (CERTIFICATES, STATUS)]
    kept = Output.concat(names[0], " || ", names[1])
    gcp.storage.BucketIAMMember(
        scope.name("node-certificates"),
        bucket=deploy,
        role="roles/storage.objectUser",
        member=member,
        condition={"title": "certificates-and-status", "expression": kept},
        opts=scope.own(),
    )
    if stores.registry.id:
        gcp.artifactregistry.RepositoryIamMember(
            scope.name("node-pull"),
            repository=stores.registry.id,
            location=scope.settings.region,
            role="roles/artifactregistry.reader",
            member=member,
            opts=scope.own(),
        )


def _boot(stores: Stores) -> Output[str]:
    values = Output.all(deploy=stores.objects.urls["deploy"], registry=stores.registry.url)
    return values.apply(
        lambda v: boot_script("gcp", {"deploy_url": v["deploy"].removeprefix("gs://"), "registry": v["registry"]})
    )


def _template(
    scope: Scope,
    ground: Ground[GcpFoundation],
    account: gcp.serviceaccount.Account,
    address: gcp.compute.Address,
    script: Output[str],
) -> gcp.compute.InstanceTemplate:
    spot = scope.settings.cluster.spot
    return gcp.compute.InstanceTemplate(
        scope.name("node"),
        machine_type=MACHINE[scope.settings.cluster.node_gib],
        region=scope.settings.region,
        tags=[EDGE_TAG],
        disks=[
            {
                "source_image": IMAGE,
                "boot": True,
                "auto_delete": True,
                "disk_type": "pd-balanced",
                "disk_size_gb": DISK_GB,
                "disk_encryption_key": {"kms_key_self_link": ground.keys.data},
            }
        ],
        network_interfaces=[{"subnetwork": ground.network.nodes[0], "access_configs": [{"nat_ip": address.address}]}],
        service_account={"email": account.email, "scopes": ["cloud-platform"]},
        scheduling={
            "provisioning_model": "SPOT" if spot else "STANDARD",
            "preemptible": spot,
            "automatic_restart": not spot,
            "on_host_maintenance": "TERMINATE" if spot else "MIGRATE",
            **({"instance_termination_action": "STOP"} if spot else {}),
        },
        shielded_instance_config={
            "enable_secure_boot": True,
            "enable_vtpm": True,
            "enable_integrity_monitoring": True,
        },
        metadata={"enable-oslogin": "TRUE", "block-project-ssh-keys": "TRUE", "serial-port-enable": "FALSE"},
        metadata_startup_script=script,
        opts=scope.own(depends_on=ground.keys.ready),
    )
