"""`pointsman deploy`: every layer of a stack, in order."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import Format, print_outcomes
from services.cli.render import EnvironmentOption, read_llm_text, read_rules_text
from services.cli.stack import CloudArgument, contract_text, read_text
from services.core.kit.errors import InputInvalid, PointsmanError

if TYPE_CHECKING:
    from infra.layers.deploy import Step


def deploy(
    cloud: CloudArgument,
    profile: Annotated[str, typer.Option(help="the stack: Pulumi.PROFILE.yaml in infra/stacks/CLOUD")] = "dev",
    images: Annotated[Path | None, typer.Option(help="JSON: image -> reference with its digest")] = None,
    authority: Annotated[Path | None, typer.Option(help="PEM of the database's authority")] = None,
    rules: Annotated[Path | None, typer.Option(help="TOML: what you add to redaction")] = None,
    llm: Annotated[
        Path | None, typer.Option(help="JSON: a language model of your own, served by vLLM in the cluster")
    ] = None,
    environment: EnvironmentOption = None,
    receiver: Annotated[
        Path | None, typer.Option(help="YAML: who hears of alerts, in Alertmanager's words; `prod` must have one")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="ground, platform, migrate, workloads or smoke")] = "ground",
    until: Annotated[str, typer.Option("--until", help="the last step that is done")] = "smoke",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the commands, do nothing")] = False,
) -> None:
    """
    Ground, platform, migrate, workloads, smoke: each step says which command it stands for. Exit 1 where it stops.

    Examples:

      pointsman deploy gcp --profile small --images images.json --dry-run

      pointsman deploy aws --profile prod --until ground

      pointsman deploy aws --profile prod --images images.json --from workloads
    """
    from infra.layers import deploy as layers
    from infra.preflight.local import load_settings

    first, last = _step(start), _step(until)
    if list(layers.Step).index(last) < list(layers.Step).index(first):
        raise InputInvalid(f"{last} comes before {first}. The order is {', '.join(layers.Step)}.")
    settings = load_settings(cloud, profile)
    if settings.is_small and receiver:
        raise InputInvalid("`small` has no Alertmanager: its alerts are the cloud's, by observability.alert_email.")
    if llm and (settings.is_small or not settings.cluster.gpu):
        raise InputInvalid(f"{cloud}/{profile} has no GPU machines, and a model of your own needs one: cluster.gpu.")
    given = {
        "images": (images, _images),
        "authority": (authority, _authority),
        "rules": (rules, read_rules_text),
        "llm": (llm, read_llm_text),
        "environment": (environment, lambda path: _environment(path, cloud, profile, llm)),
        "receiver": (receiver, _receiver),
    }
    config = {f"pointsman:{n}": layers.File(str(path), _read(path, read)) for n, (path, read) in given.items() if path}
    order = layers.Order(cloud, profile, settings.is_small, config)
    works = layers.works(order, first, last)
    if unread := layers.unread(order, works):
        raise InputInvalid(f"{' '.join(unread)} Leave it out, or choose other steps with --from and --until.")
    missing = layers.missing(settings, order, works)
    for work in works if dry_run else ():
        typer.echo("\n".join([f"# {work.step}{': ' + work.note if work.note else ''}", *work.commands]))
    if dry_run:
        typer.echo("".join(f"Without --dry-run this is refused: {one}\n" for one in missing), err=True, nl=False)
        return
    run = layers.with_pulumi(typer.echo)
    if missing:
        raise InputInvalid(" ".join(missing))
    for work in works:
        typer.secho(f"{work.step}: {'; '.join(work.commands) or work.note}", err=True)
        list(layers.deploy([work], run, lambda: _smoke(cloud, profile)))


def _step(name: str) -> "Step":
    from infra.layers.deploy import Step

    if name not in list(Step):
        raise InputInvalid(f"No step {name!r}. Choose one of {', '.join(Step)}.")
    return Step(name)


def _read(path: Path, read: Callable[[Path], str]) -> str:
    """Looked at before anything is made: the layers would refuse it when the ground is paid for, a pod at its start."""
    try:
        return read(path)
    except PointsmanError as exc:
        raise type(exc)(exc.message if str(path) in exc.message else f"{path}: {exc.message}") from exc


def _images(path: Path) -> str:
    from k8s.workloads.run import read_images

    text = read_text(path, "It holds an object such as {'gateway': 'registry/gateway@sha256:...'}")
    read_images(text)
    return text


def _authority(path: Path) -> str:
    text = read_text(path, "It is a certificate as PEM.")
    if "BEGIN CERTIFICATE" not in text:
        raise InputInvalid("No certificate as PEM, which has a line BEGIN CERTIFICATE.")
    return text


def _receiver(path: Path) -> str:
    from k8s.platform.alerting import alertmanager

    text = read_text(path, "It holds a receiver such as: webhook_configs: [{url: https://alerts.example.com}]")
    alertmanager(text)
    return text


def _environment(path: Path, cloud: str, profile: str, llm: Path | None) -> str:
    """Held against the contract that an offline plan promises: of a stack that is not up yet, too."""
    from infra.contract import read_contract
    from infra.offline.plan import plan_stacks
    from k8s.workloads.llm import read_self_hosted, settings
    from k8s.workloads.own import EXAMPLE, read_own

    text = read_text(path, f"It is YAML such as {EXAMPLE}")
    promised = read_contract(json.dumps(plan_stacks((cloud,), profile).stacks[0].contract))
    read_own(text, settings(promised, read_self_hosted(read_llm_text(llm)) if llm else None))
    return text


def _smoke(cloud: str, profile: str) -> None:
    from infra.smoke.run import contract_of
    from infra.smoke.run import smoke as look
    from infra.smoke.use import use

    contract = contract_of(contract_text(cloud, profile, None), cloud)
    print_outcomes([*look(contract), *use(contract)], Format.TABLE)
