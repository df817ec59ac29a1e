"""LLM: who may ask which model, from where, and what is kept of it."""

from collections.abc import Iterator

from infra.policies.rules.base import Breach, Stack, absent, dig, equals, is_set, must, rule
from infra.policies.rules.database import diagnosed
from infra.policies.rules.encryption import policy_statements

_ACCOUNT = "azure-native:cognitiveservices:Account"
_WIDE_VERTEX = ("roles/aiplatform.user", "roles/aiplatform.admin")


@rule("LLM-001", "models are asked over a private way; below prod the account is closed to other networks")
def private_endpoint(stack: Stack) -> Iterator[Breach]:
    if not stack.has_llm:
        return
    message = "Prompts would travel over public addresses"
    if stack.profile != "prod":
        yield from must(stack.of(_ACCOUNT), "properties.networkAcls.defaultAction", equals("Deny"), message)
        return
    if stack.cloud == "aws" and stack.has_own_network:
        names = [str(r.inputs.get("serviceName")) for r in stack.of("aws:ec2/vpcEndpoint:VpcEndpoint")]
        if not any(n.endswith(".bedrock-runtime") for n in names):
            yield absent(stack, message)
    yield from must(stack.of(_ACCOUNT), "properties.publicNetworkAccess", equals("Disabled"), message)
    forwarding = stack.of("gcp:compute/globalForwardingRule:GlobalForwardingRule")
    if (
        stack.cloud == "gcp"
        and stack.has_own_network
        and not any(r.inputs.get("target") == "all-apis" for r in forwarding)
    ):
        yield absent(stack, message)


@rule("LLM-002", "every call to a model is logged, without its text")
def invocations_logged(stack: Stack) -> Iterator[Breach]:
    if not stack.has_llm:
        return
    message = "Calls to models leave no trace"
    logs = stack.of("aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration")
    if stack.cloud == "aws" and not logs:
        yield absent(stack, message)
    silent = "The prompts themselves would be logged"
    yield from must(logs, "loggingConfig.textDataDeliveryEnabled", lambda v: v is False, silent)
    if stack.cloud == "azure" and not diagnosed(stack, "openai"):
        yield absent(stack, message)
    audited = [r.inputs.get("service") for r in stack.of("gcp:projects/iAMAuditConfig:IAMAuditConfig")]
    if stack.cloud == "gcp" and "aiplatform.googleapis.com" not in audited:
        yield absent(stack, message)


@rule("LLM-003", "the role reaches the named models only")
def named_models(stack: Stack) -> Iterator[Breach]:
    for r in stack.of("aws:iam/rolePolicy:RolePolicy"):
        for statement in policy_statements(r.inputs.get("policy")):
            resources = statement.get("Resource") or []
            asks = any(str(a).startswith("bedrock:Invoke") for a in statement.get("Action") or [])
            if asks and any(str(name).endswith("*") for name in resources):
                yield r.urn, "The role may ask every model; name them in models.names"
    named = {found["name"] for found in dig(stack.contract, "models.deployments") or []}
    for r in stack.of("azure-native:cognitiveservices:Deployment"):
        if r.inputs.get("deploymentName") not in named:
            yield r.urn, f"The account holds {r.inputs.get('deploymentName')}, which models.names does not name"
    made = {r.inputs.get("deploymentName") for r in stack.of("azure-native:cognitiveservices:Deployment")}
    if stack.of(_ACCOUNT) and (missing := sorted(named - made)):
        yield absent(stack, f"The contract names {', '.join(missing)}, and no Deployment of the account is called so")
    if stack.cloud == "gcp" and stack.has_llm:
        policies = stack.of("gcp:orgpolicy/policy:Policy")
        yield from must(policies, "spec.rules.0.values.allowedValues", is_set, "Every Vertex model is allowed")
        for r in stack.of("gcp:projects/iAMMember:IAMMember"):
            if r.inputs.get("role") in _WIDE_VERTEX:
                yield r.urn, "This Vertex role does far more than ask a model"
