"""
The cluster of `small`: one machine with k3s, replaced by a scaling group of one when it dies or spot is reclaimed.

Its state is the database and the buckets; its address is an Elastic IP it claims at boot. Ingress: 80 and 443, no SSH.
"""

import base64
from collections.abc import Sequence

import pulumi_aws as aws
from pulumi import Output, Resource

from infra.aws import access
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Cluster, Ground, Scope, Stores
from infra.node import CERTIFICATES, STATUS, boot_script

# arm64 by GiB, cheapest spot first in us-east-1 (design/adr/0051); the images are built for arm64 and amd64.
MACHINES = {
    4: ("t4g.medium",),
    8: ("m7g.large", "m6g.large", "t4g.large"),
    16: ("m7g.xlarge", "m6g.xlarge", "t4g.xlarge"),
}
# Ubuntu, as on Azure: it holds the agent of Session Manager, and knows no SELinux for k3s to ask rules for.
IMAGE = "resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"
DISK_GB = 30
_DISK_USE = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
]


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores) -> Cluster:
    address = aws.ec2.Eip(scope.name("node"), domain="vpc", opts=scope.own())
    role, granted = _role(scope, ground, stores, address)
    template = _template(scope, ground, _firewall(scope, ground), role, _boot(scope, stores, address))
    grant = _let_scaling_use_the_key(scope, ground)
    _group(scope, ground, template, [grant, *granted, *ground.network.ready])
    return Cluster(
        name=scope.name("node"),
        kind="k3s",
        arch="arm64",
        endpoint=Output.concat("https://", address.public_ip, ":6443"),
        node=role.arn,
        node_client=role.arn,
        node_name=role.name,
        address=address.public_ip,
        deploy=stores.objects.urls["deploy"],
    )


def _role(
    scope: Scope, ground: Ground[AwsFoundation], stores: Stores, address: aws.ec2.Eip
) -> tuple[aws.iam.Role, list[Resource]]:
    """The node's role, and the grants that must stand before it boots."""
    role = access.role(scope, "node", access.plain_trust("ec2.amazonaws.com"))
    attached = access.attach(scope, role, "node", ["AmazonSSMManagedInstanceCore"])
    account, region = ground.foundation.account, scope.settings.region
    ours = {"StringEquals": {"aws:ResourceTag/application": scope.settings.application}}
    deploy = Output.concat("arn:aws:s3:::", stores.objects.names["deploy"])
    statements = [
        access.Allow(["ec2:AssociateAddress"], [Output.concat(f"arn:aws:ec2:{region}:", account, ":instance/*")], ours),
        access.Allow(
            ["ec2:AssociateAddress"],
            [Output.concat(f"arn:aws:ec2:{region}:", account, ":elastic-ip/", address.allocation_id)],
        ),
        access.Allow(
            ["ec2:AssociateAddress"], [Output.concat(f"arn:aws:ec2:{region}:", account, ":network-interface/*")]
        ),
        access.Allow(["s3:ListBucket"], [deploy]),  # without it S3 says 403 of what is not there
        access.Allow(["s3:GetObject"], [Output.concat(deploy, "/*")]),
        access.Allow(["s3:PutObject"], [Output.concat(deploy, "/", name) for name in (CERTIFICATES, STATUS)]),
        access.Allow(["kms:Decrypt", "kms:GenerateDataKey"], [ground.keys.data]),
    ]
    if stores.registry.repositories:
        pull = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
        statements += [access.Allow(["ecr:GetAuthorizationToken"], ["*"])]
        statements += [access.Allow(pull, list(stores.registry.repositories.values()))]
    return role, [*attached, access.grant(scope, "node", role, statements)]


def _firewall(scope: Scope, ground: Ground[AwsFoundation]) -> aws.ec2.SecurityGroup:
    group = aws.ec2.SecurityGroup(
        scope.name("edge"), vpc_id=ground.network.id, description="HTTP and HTTPS in, anything out", opts=scope.own()
    )
    for label, port in (("http", 80), ("https", 443)):
        aws.vpc.SecurityGroupIngressRule(
            scope.name(f"edge-{label}"),
            security_group_id=group.id,
            cidr_ipv4="0.0.0.0/0",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=scope.own(),
        )
    aws.vpc.SecurityGroupEgressRule(
        scope.name("edge-out"), security_group_id=group.id, cidr_ipv4="0.0.0.0/0", ip_protocol="-1", opts=scope.own()
    )
    return group


def _boot(scope: Scope, stores: Stores, address: aws.ec2.Eip) -> Output[str]:
    values = Output.all(
        deploy_url=stores.objects.urls["deploy"],
        registry=stores.registry.url,
        address_id=address.allocation_id,
        region=scope.settings.region,
    )
    return values.apply(lambda v: base64.b64encode(boot_script("aws", v).encode()).decode())


def _template(
    scope: Scope,
    ground: Ground[AwsFoundation],
    firewall: aws.ec2.SecurityGroup,
    role: aws.iam.Role,
    user_data: Output[str],
) -> aws.ec2.LaunchTemplate:
    name = scope.name("node")
    profile = aws.iam.InstanceProfile(name, role=role.name, path=scope.settings.identity.role_path, opts=scope.own())
    tags = {**scope.settings.required_tags, "Name": name}
    return aws.ec2.LaunchTemplate(
        name,
        image_id=IMAGE,
        update_default_version=True,
        iam_instance_profile={"arn": profile.arn},
        # Two hops, because pods share the node's identity in `small`.
        metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 2},
        block_device_mappings=[
            {
                "device_name": "/dev/sda1",
                "ebs": {
                    "volume_size": DISK_GB,
                    "volume_type": "gp3",
                    "encrypted": "true",
                    "kms_key_id": ground.keys.data,
                    "delete_on_termination": "true",
                },
            }
        ],
        # A public address at launch: without it the node could not reach the API to claim the lasting one.
        network_interfaces=[{"associate_public_ip_address": "true", "security_groups": [firewall.id]}],
        tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
        user_data=user_data,
        opts=scope.own(),
    )


def _let_scaling_use_the_key(scope: Scope, ground: Ground[AwsFoundation]) -> aws.kms.Grant:
    """Auto Scaling opens the encrypted disk through its service-linked role, which IAM policies do not reach."""
    service_role = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    return aws.kms.Grant(
        scope.name("scaling"),
        key_id=ground.keys.data,
        grantee_principal=Output.concat("arn:aws:iam::", ground.foundation.account, ":", service_role),
        operations=_DISK_USE,
        opts=scope.own(),
    )


def _group(
    scope: Scope, ground: Ground[AwsFoundation], template: aws.ec2.LaunchTemplate, ready: Sequence[Resource]
) -> None:
    on_demand_percent = 0 if scope.settings.cluster.spot else 100
    aws.autoscaling.Group(
        scope.name("node"),
        min_size=1,
        max_size=1,
        desired_capacity=1,
        vpc_zone_identifiers=ground.network.nodes,
        capacity_rebalance=True,
        health_check_type="EC2",
        mixed_instances_policy={
            "instances_distribution": {
                "on_demand_percentage_above_base_capacity": on_demand_percent,
                "spot_allocation_strategy": "price-capacity-optimized",
            },
            "launch_template": {
                "launch_template_specification": {"launch_template_id": template.id, "version": "$Latest"},
                "overrides": [{"instance_type": machine} for machine in MACHINES[scope.settings.cluster.node_gib]],
            },
        },
        tags=[
            {"key": key, "value": value, "propagate_at_launch": True}
            for key, value in sorted(scope.settings.required_tags.items())
        ],
        opts=scope.own(depends_on=ready),
    )
