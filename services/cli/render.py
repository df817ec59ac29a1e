"""`pointsman render`: the Kubernetes objects of a stack's workloads."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.stack import CloudArgument, ContractOption, ProfileOption, contract_text, read_text
from services.core.kit.errors import InputInvalid

if TYPE_CHECKING:
    from infra.contract import Contract

EnvironmentOption = Annotated[
    Path | None,
    typer.Option("--environment", help="YAML: container -> variables of your own, such as POINTSMAN_SHADOW"),
]


def render(
    cloud: CloudArgument,
    profile: ProfileOption = "dev",
    contract: ContractOption = None,
    images: Annotated[
        Path | None, typer.Option(help="JSON: image -> reference with its digest; without it the contract's own")
    ] = None,
    authority: Annotated[
        Path | None, typer.Option(help="PEM of the database's authority; without it fetched from where it is published")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="TOML: what you add to redaction; worker and chat start with it")
    ] = None,
    llm: Annotated[
        Path | None, typer.Option(help="JSON: a language model of your own, served by vLLM in the cluster")
    ] = None,
    environment: EnvironmentOption = None,
    settings: Annotated[
        str | None, typer.Option("--settings", help="a container's name: its settings as NAME=VALUE lines instead")
    ] = None,
    addons: Annotated[bool, typer.Option("--addons", help="`small`: the other file, with the charts")] = False,
    train_on: Annotated[
        int | None,
        typer.Option("--train-on", min=2, max=64, help="one training on so many machines, as a Kubeflow TrainJob"),
    ] = None,
) -> None:
    """
    Print what runs in the cluster, as YAML, in the order in which it is applied.

    Examples:

      pointsman render aws --profile prod --images images.json | kubectl apply --server-side -f -

      pointsman render gcp --contract contract.json --images images.json > workloads.yaml

      pointsman render aws --contract contract.json --settings migrator > migrator.env

      pointsman render aws --profile prod --images images.json --train-on 4 | kubectl create -f -
    """
    if train_on is not None and (addons or settings):
        raise typer.BadParameter("Ask for one of --train-on, --settings and --addons.")
    from infra.smoke.run import contract_of
    from k8s.workloads.entry import nameless
    from k8s.workloads.run import as_yaml, rollout_of

    stack = contract_of(contract_text(cloud, profile, contract), cloud)
    own = read_text(environment, "It is YAML.") if environment else None
    if addons or settings:
        typer.echo(addons_text(stack) if addons else settings_text(stack, settings or "", own), nl=False)
        return
    fix = "It holds an object such as {'gateway': 'registry/gateway@sha256:...'}"
    rollout = rollout_of(
        stack,
        images=read_text(images, fix) if images else None,
        authority=read_text(authority, "It is a certificate as PEM.") if authority else None,
        rules=read_rules_text(rules) if rules else "",
        llm=read_llm_text(llm) if llm else "",
        own=own,
    )
    if train_on is not None:
        from k8s.pages import as_yaml as dumped
        from k8s.workloads.together import train_together

        typer.echo(dumped(train_together(rollout, train_on)), nl=False)
        return
    typer.echo(as_yaml(rollout), nl=False)
    if why := nameless(stack):
        typer.secho(f"Note: {why}", err=True)


def settings_text(contract: "Contract", container: str, own: str | None = None) -> str:
    """
    With an operator's `own` among them. For a shell: `set -a; . ./FILE`.

    Raises:
        InputInvalid: no such container.
    """
    from k8s.workloads.environment import environment
    from k8s.workloads.own import read_own

    found = environment(contract)
    if container not in found:
        raise InputInvalid(f"No container {container!r}. Choose one of {', '.join(found)}.")
    told = found[container] | (read_own(own, found).get(container, {}) if own is not None else {})
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(told.items()))


def addons_text(contract: "Contract") -> str:
    """
    Raises:
        InputInvalid: on a managed cluster Pulumi installs charts: there is no such file.
    """
    from k8s.pages import as_yaml
    from k8s.platform.objects import addons

    if not contract.is_small:
        raise InputInvalid("Only `small` takes its add-ons as a file. Elsewhere: pulumi up in infra/stacks/platform.")
    return as_yaml(addons(contract))


def read_llm_text(path: Path) -> str:
    from k8s.workloads.llm import read_self_hosted

    text = read_text(path, "It holds image, model and name.")
    read_self_hosted(text)
    return text


def read_rules_text(path: Path) -> str:
    """Taken whole or refused here: a pod would refuse them at its start."""
    from services.core.text.own_rules import read_rules

    read_rules(path)
    return path.read_text("utf-8")
