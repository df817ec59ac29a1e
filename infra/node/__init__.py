"""The start of the one node of `small`, the same on every cloud but for how it fetches and logs in."""

from pathlib import Path
from string import Template

from infra.grants import NAMESPACE

K3S_VERSION = "v1.35.5+k3s1"
PULL_SECRET = "registry"  # noqa: S105, the name of a Kubernetes secret that sync.sh renews
ADDONS, WORKLOADS = "addons.yaml", "manifests.yaml"
"""What the node takes from the deploy bucket, in this order."""
CERTIFICATES = "certificates.yaml"
"""What the node writes to the deploy bucket, and reads back when the machine is another."""

STATUS = "status.txt"
"""What it says there of each file that it was given: applied, or refused and why."""

_SHARED = {
    "status": STATUS,
    "absent": "44",  # what a cloud's `fetch` returns for an object that is not there, apart from every other failure
    "certificates": CERTIFICATES,
    "k3s_version": K3S_VERSION,
    "addons": ADDONS,
    "manifests": WORKLOADS,
    "namespace": NAMESPACE,
    "pull_secret": PULL_SECRET,
}
_HERE = Path(__file__).parent


def boot_script(cloud: str, values: dict[str, str]) -> str:
    """
    The shell script that turns an empty Linux machine into a running node.

    Args:
        values: what the cloud's part needs: `deploy_url`, and per cloud `address_id`, `region`, `registry`.
    """
    own = Template((_HERE / f"{cloud}.sh").read_text()).substitute({**_SHARED, **values})
    return Template((_HERE / "boot.sh").read_text()).substitute(_SHARED, cloud_functions=own)
