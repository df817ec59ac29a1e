"""The start of the one node of `small`, the same on every cloud but for how it fetches and logs in."""

from pathlib import Path
from string import Template

from infra.grants import NAMESPACE

K3S_VERSION = "v1.35.5+k3s1"
MANIFESTS = "manifests.yaml"
PULL_SECRET = "registry"  # noqa: S105, the name of a Kubernetes secret that boot.sh renews
_HERE = Path(__file__).parent


def boot_script(cloud: str, values: dict[str, str]) -> str:
    """
    The shell script that turns an empty Linux machine into a running node.

    Args:
        values: what the cloud's part needs: `deploy_url`, and per cloud `address_id`, `region`, `registry`.
    """
    own = Template((_HERE / f"{cloud}.sh").read_text()).substitute(values)
    common = Template((_HERE / "boot.sh").read_text())
    return common.substitute(
        cloud_functions=own,
        k3s_version=K3S_VERSION,
        namespace=NAMESPACE,
        manifests=MANIFESTS,
        pull_secret=PULL_SECRET,
    )
