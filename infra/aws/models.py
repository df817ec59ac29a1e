"""
Bedrock: one inference profile per named model (so cost and access are per stack), and who called what, when.

The invocation log holds metadata only: prompts stay out of it even though they are redacted.
"""

import pulumi_aws as aws
from pulumi import Input, Output

from infra.aws import access
from infra.aws.foundation import AwsFoundation
from infra.aws.observability import log_group
from infra.capabilities import Ground, Models, Reach, Scope

AREAS = ("apac", "eu", "us")  # docs.aws.amazon.com/bedrock: geographic cross-region inference profiles


def build(scope: Scope, ground: Ground[AwsFoundation]) -> Models:
    region = scope.settings.region
    if not scope.settings.models.names:
        return Models(kind="embedded", endpoint="embedded")
    if scope.settings.models.invocation_log:
        _log_invocations(scope, ground)
    grants, deployments = [], []
    for name in scope.settings.models.names:
        source, reach = _model(name, region, ground.foundation.account)
        profile = aws.bedrock.InferenceProfile(
            scope.name(name.replace(".", "-").replace(":", "-")),
            name=f"{scope.settings.prefix}-{name.replace('.', '-').replace(':', '-')}",
            model_source={"copy_from": source},
            opts=scope.own(),
        )
        deployments.append((name, profile.arn))
        grants += [profile.arn, *reach]
    endpoint = f"https://bedrock-runtime.{region}.amazonaws.com"
    return Models(kind="bedrock", endpoint=endpoint, deployments=deployments, grants=grants)


def words(reach: Reach[AwsFoundation], *_: object) -> list[access.Allow]:
    actions, grants = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"], reach.stores.models.grants
    return [access.Allow(actions, grants)] if grants else []


def _model(name: str, region: str, account: Output[str]) -> tuple[Input[str], list[Input[str]]]:
    """What to copy, and what a call through the copy touches: `eu.` and the like spread over a continent's regions."""
    area, _, model = name.partition(".")
    if area not in AREAS:
        own = f"arn:aws:bedrock:{region}::foundation-model/{name}"
        return own, [own]
    shared = Output.concat(f"arn:aws:bedrock:{region}:", account, f":inference-profile/{name}")
    return shared, [shared, f"arn:aws:bedrock:*::foundation-model/{model}"]


def _log_invocations(scope: Scope, ground: Ground[AwsFoundation]) -> None:
    group = log_group(scope, ground.keys, "bedrock")
    role = access.role(scope, "bedrock-logs", access.trust("bedrock.amazonaws.com", ground.foundation.account))
    streams = Output.concat(group.arn, ":log-stream:aws/bedrock/modelinvocations")
    policy = access.grant(
        scope, "bedrock-logs", role, [access.Allow(["logs:CreateLogStream", "logs:PutLogEvents"], [streams])]
    )
    aws.bedrockmodel.InvocationLoggingConfiguration(
        scope.name("invocations"),
        logging_config={
            "embedding_data_delivery_enabled": False,
            "image_data_delivery_enabled": False,
            "text_data_delivery_enabled": False,
            "video_data_delivery_enabled": False,
            "cloudwatch_config": {"log_group_name": group.name, "role_arn": role.arn},
        },
        opts=scope.own(depends_on=[policy]),
    )
