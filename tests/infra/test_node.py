"""The boot script of `small`: the same on every cloud but for how it fetches and logs in."""

import base64
import json
import re
import subprocess
from pathlib import Path

import pytest

from infra.node import K3S_VERSION, boot_script
from infra.offline.plan import CLOUDS
from infra.policies.rules.base import Company, Stack
from infra.policies.rules.encryption import boot_scripts, script_of
from tests.planned import Plans

VALUES = {
    "deploy_url": "s3://deploy",
    "registry": "123456789012.dkr.ecr.us-east-1.amazonaws.com/pointsman",
    "address_id": "eipalloc-1",
    "region": "us-east-1",
    "host": "acme.eastus.cloudapp.azure.com",
    "record": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/dnsZones/example.com/CNAME/www",
}
EC2_LIMIT_BYTES = 16_384  # user data, before base64: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide (2026-11)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_script_is_valid_shell_and_fits(cloud: str) -> None:
    """Bash accepts it, no placeholder is left, and it fits the tightest of the three limits."""
    script = boot_script(cloud, VALUES)
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert checked.stderr == ""
    assert not re.search(
        r"\$(deploy_url|registry|cloud_functions|k3s_version|manifests|address_id|record|host)\b", script
    )
    assert len(script.encode()) < EC2_LIMIT_BYTES


@pytest.mark.parametrize("cloud", CLOUDS)
def test_script_pins_what_it_downloads(cloud: str) -> None:
    """One release, named once; nothing says latest, and no script of somebody else's is piped into a shell."""
    script = boot_script(cloud, VALUES)
    assert script.count(K3S_VERSION) == 1
    assert not re.search(r"\| *(ba)?sh\b", script)
    assert "latest" not in script.replace("/latest/", "")  # the metadata service's own word


@pytest.mark.parametrize("cloud", CLOUDS)
def test_planned_machine_starts_with_it(plans: Plans, cloud: str) -> None:
    """What the plan hands to the machine is this script, with this stack's own bucket in it."""
    stack = Stack.of_plan(plans[cloud, "small"], Company())
    (machine,) = boot_scripts(stack)
    script = script_of(machine)
    assert script.startswith("#!/bin/bash")
    assert "secrets-encryption: true" in script
    assert "deploy" in script


def test_functions_of_each_cloud_answer() -> None:
    """The common part calls these functions; each cloud defines them all."""
    for cloud in CLOUDS:
        script = boot_script(cloud, VALUES)
        called = {"install_tools", "claim_address", "give_up", "fetch", "keep"}
        called |= {"registry_host", "registry_user", "registry_password"}
        defined = set(re.findall(r"^(\w+)\(\) \{", script, re.MULTILINE))
        assert called <= defined


def test_registry_host_is_what_docker_logs_in_to() -> None:
    """Run for real: the host part of the registry's address."""
    functions = boot_script("aws", VALUES).split("<<'CLOUD'\n")[1].split("\nCLOUD")[0]
    done = subprocess.run(["bash", "-c", f"{functions}\nregistry_host"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def test_user_data_is_base64_on_aws(plans: Plans) -> None:
    """EC2 wants it so; the plan shows the same bytes."""
    stack = Stack.of_plan(plans["aws", "small"], Company())
    (machine,) = boot_scripts(stack)
    assert base64.b64decode(machine.inputs["userData"]).startswith(b"#!/bin/bash")


_CURL = """#!/bin/bash
for word in "$@"; do case "$word" in
  http*compute/name*) echo acme-node_3; exit ;;
  http*oauth2/token*) echo '{"access_token":"t"}'; exit ;;
esac; done
printf '%s\\n' "$@"
"""


@pytest.mark.parametrize("record", [VALUES["record"], ""])
def test_the_name_follows_a_machine_that_took_anothers_place(record: str, tmp_path: Path) -> None:
    """Azure numbers machines on; the fourth claims the name under our domain, where there is one."""
    functions = boot_script("azure", {**VALUES, "record": record}).split("<<'CLOUD'\n")[1].split("\nCLOUD")[0]
    (tmp_path / "curl").write_text(_CURL)
    (tmp_path / "curl").chmod(0o755)
    run = ["bash", "-ec", f"{functions.replace('-o /dev/null', '')}\nclaim_address"]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    asked = done.stdout.splitlines()
    if not record:
        assert asked == []
        return
    assert f"https://management.azure.com{record}?api-version=2018-05-01" in asked
    (body,) = [json.loads(word) for word in asked if word.startswith("{")]
    assert body["properties"]["CNAMERecord"] == {"cname": "vm3.acme.eastus.cloudapp.azure.com"}
