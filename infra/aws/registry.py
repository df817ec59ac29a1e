"""One repository per container: immutable tags, scanned on push, old images expired."""

import json

import pulumi_aws as aws
from pulumi import Output

from infra.aws.foundation import AwsFoundation
from infra.capabilities import Ground, Registry, Scope
from infra.settings import CONTAINERS


def build(scope: Scope, ground: Ground[AwsFoundation]) -> Registry:
    if external := scope.settings.registry.external_url:
        return Registry(url=external)
    repositories = {name: _repository(scope, ground, name) for name in CONTAINERS}
    host = Output.concat(ground.foundation.account, f".dkr.ecr.{scope.settings.region}.amazonaws.com")
    return Registry(
        url=Output.concat(host, "/", scope.settings.prefix),
        repositories={name: r.arn for name, r in repositories.items()},
    )


def _repository(scope: Scope, ground: Ground[AwsFoundation], container: str) -> aws.ecr.Repository:
    repository = aws.ecr.Repository(
        scope.name(container),
        name=f"{scope.settings.prefix}/{container}",
        image_tag_mutability="IMMUTABLE",
        image_scanning_configuration={"scan_on_push": True},
        encryption_configurations=[{"encryption_type": "KMS", "kms_key": ground.keys.data}],
        force_delete=scope.settings.may_lose_data,
        opts=scope.own(),
    )
    keep = {
        "rulePriority": 1,
        "description": "keep the newest images",
        "selection": {
            "tagStatus": "any",
            "countType": "imageCountMoreThan",
            "countNumber": scope.settings.registry.keep_images,
        },
        "action": {"type": "expire"},
    }
    aws.ecr.LifecyclePolicy(
        scope.name(container), repository=repository.name, policy=json.dumps({"rules": [keep]}), opts=scope.own()
    )
    return repository
