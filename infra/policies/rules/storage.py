"""STO: objects are private, and a mistake can be undone."""

from collections.abc import Iterator

from infra.policies.rules.base import Breach, Stack, equals, is_false, is_set, is_true, must, rule

_BUCKET = "aws:s3/bucket:Bucket"
_FOUR_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


@rule("STO-001", "public access is blocked")
def no_public_objects(stack: Stack) -> Iterator[Breach]:
    message = "Objects could be made public"
    block = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    yield from _beside(stack, block, message)
    for name in _FOUR_BLOCKS:
        yield from must(stack.of(block), name, is_true, message)
    yield from must(stack.of("azure-native:storage:StorageAccount"), "allowBlobPublicAccess", is_false, message)
    yield from must(stack.of("azure-native:storage:BlobContainer"), "publicAccess", equals("None"), message)
    buckets = stack.of("gcp:storage/bucket:Bucket")
    yield from must(buckets, "publicAccessPrevention", equals("enforced"), message)
    yield from must(buckets, "uniformBucketLevelAccess", is_true, message)


@rule("STO-002", "an overwritten or deleted object can be had back")
def versions_kept(stack: Stack) -> Iterator[Breach]:
    message = "An overwritten object is lost"
    versioning = "aws:s3/bucketVersioning:BucketVersioning"
    yield from _beside(stack, versioning, message)
    yield from must(stack.of(versioning), "versioningConfiguration.status", equals("Enabled"), message)
    blobs = stack.of("azure-native:storage:BlobServiceProperties")
    told = {urn for r in blobs for urn in r.depends_on}
    holding = {urn for r in stack.of("azure-native:storage:BlobContainer") for urn in r.depends_on}
    for account in stack.of("azure-native:storage:StorageAccount"):
        if account.urn in holding - told:
            yield account.urn, f"{message} (no BlobServiceProperties)"
    yield from must(blobs, "isVersioningEnabled", is_true, message)
    yield from must(blobs, "deleteRetentionPolicy.enabled", is_true, message)
    yield from must(stack.of("gcp:storage/bucket:Bucket"), "versioning.enabled", is_true, message)


@rule("STO-003", "old versions and old data have an end")
def lifecycle(stack: Stack) -> Iterator[Breach]:
    message = "Nothing ever expires here"
    yield from _beside(stack, "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", message)
    policies = stack.of("azure-native:storage:ManagementPolicy")
    accounts = stack.of("azure-native:storage:StorageAccount")
    yield from ((a.urn, message) for a in accounts[len(policies) :])
    yield from must(policies, "policy.rules", lambda rules: rules and all(r.get("enabled") for r in rules), message)
    yield from must(stack.of("gcp:storage/bucket:Bucket"), "lifecycleRules", is_set, message)


def _beside(stack: Stack, companion: str, message: str) -> Iterator[Breach]:
    """AWS keeps a bucket's settings in resources of their own; ours carry the bucket's name."""
    there = {r.name for r in stack.of(companion)}
    yield from ((b.urn, f"{message} (no {companion.split(':')[-1]})") for b in stack.of(_BUCKET) if b.name not in there)
