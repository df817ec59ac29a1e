"""REG: an image is what it was when it was built. A stack that uses a registry of the company's is not judged."""

from collections.abc import Iterator

from infra.policies.rules.base import Breach, Stack, absent, dig, equals, is_true, must, rule

_ECR = "aws:ecr/repository:Repository"
_AR = "gcp:artifactregistry/repository:Repository"
_ACR = "azure-native:containerregistry:Registry"


@rule("REG-001", "a tag never moves", clouds=("aws", "gcp"))
def immutable_tags(stack: Stack) -> Iterator[Breach]:
    """Azure has no such switch for a registry: there CI locks each image, and workloads name digests."""
    yield from must(stack.of(_ECR), "imageTagMutability", equals("IMMUTABLE"), "Tags can be overwritten")
    yield from must(stack.of(_AR), "dockerConfig.immutableTags", is_true, "Tags can be overwritten")


@rule("REG-002", "images are scanned when they arrive")
def scanned(stack: Stack) -> Iterator[Breach]:
    message = "Images are not scanned"
    yield from must(stack.of(_ECR), "imageScanningConfiguration.scanOnPush", is_true, message)
    on = equals("INHERITED")
    yield from must(stack.of(_AR), "vulnerabilityScanningConfig.enablementConfig", on, message)
    if stack.of(_ACR) and stack.profile == "prod":  # Defender is paid for by the core; below prod CI scans
        plans = stack.of("azure-native:security:Pricing")
        if not any(p.inputs.get("pricingName") == "Containers" and _is_on(p.inputs) for p in plans):
            yield absent(stack, f"{message}: Defender for Containers is off")


def _is_on(inputs: dict) -> bool:
    return dig(inputs, "pricingTier") == "Standard"
