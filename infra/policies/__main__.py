"""The rules as a CrossGuard pack: `pulumi up --policy-pack ../../policies`. Only this file knows pulumi_policy."""

from pulumi_policy import (  # ty: ignore[import-not-found]
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)

from infra.policies.adapter import stack_of
from infra.policies.rules import RULES
from infra.policies.rules.base import Rule


def _policy(rule: Rule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for finding in rule.findings(stack_of(args.resources)):
            report(finding.message, finding.resource if finding.resource.startswith("urn:") else None)

    return StackValidationPolicy(name=rule.id.lower(), description=rule.claim, validate=validate)


PolicyPack(
    name="pointsman",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[_policy(rule) for _, rule in sorted(RULES.items())],
)
