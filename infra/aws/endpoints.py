"""Which of AWS's services have an interface endpoint in the VPC. Each costs by zone and hour (ADR 0302)."""

from infra.settings import Network

# What carries our data, images and secrets.
CARRYING = (
    "bedrock-runtime",
    "ecr.api",
    "ecr.dkr",
    "eks-auth",
    "kms",
    "logs",
    "secretsmanager",
    "sns",
    "sts",
)
STEERING = ("ec2", "eks", "sqs")  # what nodes ask about themselves, and a queue that no pod of ours reads


def reached_inside(network: Network) -> tuple[str, ...]:
    """All that nodes and pods talk to where there is no NAT, else what carries something of ours."""
    if not network.private_endpoints:
        return ()
    return CARRYING + STEERING if network.nat == "none" else CARRYING
