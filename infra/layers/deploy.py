"""
From an account to a running platform: the steps in their order, each with the command that it stands for.

Each is safe to repeat, so a run that stopped goes on `--from` where it did. Pulumi does the work through its
Automation API; whoever would rather type does the same in each folder.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import yaml

from infra.settings import Profile, Settings
from k8s.platform.alerting import NOBODY
from k8s.workloads.containers import IMAGES
from services.core.kit.errors import ConfigurationInvalid, PointsmanError

STACKS = Path(__file__).parents[1] / "stacks"
INSTALL = "https://www.pulumi.com/docs/iac/download-install/"
NO_IMAGES = (
    "No images are named, and pods cannot run without. `--until ground` makes the registry; build and push them, then: "
    "pointsman deploy CLOUD --profile NAME --from platform --images images.json"
)
# What the migrator's job needs: a first rollout makes these and the job, and the rest when the job is done.
MIGRATION = ("Namespace", "PriorityClass", "ServiceAccount", "ConfigMap", "NetworkPolicy", "Job")


class Step(StrEnum):
    GROUND = "ground"
    PLATFORM = "platform"
    MIGRATE = "migrate"
    WORKLOADS = "workloads"
    SMOKE = "smoke"


@dataclass(frozen=True)
class File:
    """A setting is a file's text, which is too long for a line that people read."""

    path: str
    text: str


@dataclass(frozen=True)
class Up:
    """`pulumi up` of one stack; `targets` are URN patterns, empty for the whole of it."""

    folder: str
    stack: str
    targets: tuple[str, ...] = ()
    config: dict[str, File] = field(default_factory=dict)

    @property
    def commands(self) -> list[str]:
        where = ["--stack", self.stack, "--cwd", f"infra/stacks/{self.folder}"]
        told = [
            shlex.join(["pulumi", "config", "set", *(["--secret"] if key in SECRETS else []), key, *where])
            + f" < {shlex.quote(file.path)}"
            for key, file in self.config.items()
        ]
        asked = [word for target in self.targets for word in ("--target", target)]
        made = shlex.join(["pulumi", "stack", "select", "--create", *where])
        return [made, *told, shlex.join(["pulumi", "up", "--yes", *where, *asked])]


SECRETS = {"pointsman:receiver"}  # an address of a chat system is a key to it
OF_PLATFORM = {"pointsman:receiver"}  # the rest is the workloads'


@dataclass(frozen=True)
class Order:
    """What is deployed. `config` is of the layers' stacks: the files that `pointsman deploy` was given."""

    cloud: str
    profile: str
    is_small: bool
    config: dict[str, File] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        return f"{self.cloud}-{self.profile}"

    def config_of(self, layer: str) -> dict[str, File]:
        is_platform = layer == "platform"
        return {key: file for key, file in self.config.items() if (key in OF_PLATFORM) == is_platform}


@dataclass(frozen=True)
class Work:
    """One step: what it stands for, or why it has nothing to do."""

    step: Step
    up: Up | None
    commands: tuple[str, ...]
    note: str = ""


Raise = Callable[[Up], None]


def works(order: Order, start: Step = Step.GROUND, until: Step = Step.SMOKE) -> list[Work]:
    """Both ends are in it."""
    steps = list(Step)
    return [_work(order, step) for step in steps[steps.index(start) : steps.index(until) + 1]]


def unread(order: Order, works: Sequence[Work]) -> list[str]:
    """What was given and no chosen step would read: it would be thought to hold."""
    read = {key for work in works if work.up for key in work.up.config}
    layer = {True: "platform", False: "workloads"}
    return [
        f"--{key.removeprefix('pointsman:')} is read by {layer[key in OF_PLATFORM]}, which is not among the steps."
        for key in order.config
        if key not in read
    ]


def missing(settings: Settings, order: Order, works: Sequence[Work], stacks: Path = STACKS) -> list[str]:
    """What a layer would refuse when those below it are made and paid for: said before the first one is begun."""
    layers = {work.up.folder for work in works if work.up}

    def knows(layer: str, key: str) -> bool:
        return key in order.config or key in _kept(stacks / layer / f"Pulumi.{order.stack}.yaml")

    found = []
    if "platform" in layers and settings.profile is Profile.PROD and not knows("platform", "pointsman:receiver"):
        found.append(NOBODY)
    if "workloads" in layers and not knows("workloads", "pointsman:images") and not _pinned(settings):
        found.append(NO_IMAGES)
    return found


def _kept(file: Path) -> dict[str, object]:
    """What an earlier run has set for this stack."""
    return (yaml.safe_load(file.read_text("utf-8")) or {}).get("config", {}) if file.exists() else {}


def _pinned(settings: Settings) -> bool:
    """Whether the settings themselves name every image by its digest."""
    named, pinned = settings.options.images, settings.options.digests
    return all(name in pinned or "@sha256:" in named.get(name, "") for name in IMAGES)


def deploy(works: Sequence[Work], run: Raise, check: Callable[[], None]) -> Iterator[Work]:
    """
    Carries out one after the other; each is given back when it is done.

    Raises:
        PointsmanError: a step failed; the message ends with how to go on.
    """
    for work in works:
        try:
            if work.up:
                run(work.up)
            elif work.step is Step.SMOKE:
                check()
        except PointsmanError as exc:
            raise type(exc)(f"{exc.message} When that is put right: --from {work.step}") from exc
        yield work


def _work(order: Order, step: Step) -> Work:
    if step is Step.SMOKE:
        return Work(step, None, (f"pointsman smoke {order.cloud} --profile {order.profile}",))
    if step is Step.MIGRATE and order.is_small:
        return Work(step, None, (), "the machine runs the migrator itself, before the pods that wait for it")
    up = {
        Step.GROUND: Up(order.cloud, order.profile),
        Step.PLATFORM: Up("platform", order.stack, (), order.config_of("platform")),
        Step.MIGRATE: Up(
            "workloads",
            order.stack,
            tuple(f"**:{kind}::**" for kind in MIGRATION),
            order.config_of("workloads"),
        ),
        Step.WORKLOADS: Up("workloads", order.stack, (), order.config_of("workloads")),
    }[step]
    return Work(step, up, tuple(up.commands))


def with_pulumi(say: Callable[[str], None]) -> Raise:
    """
    Through the Automation API, which drives Pulumi's own program.

    Raises:
        ConfigurationInvalid: that program is not installed.
    """
    import pulumi.automation as automation

    try:
        command = automation.PulumiCommand()
    except FileNotFoundError as exc:
        raise ConfigurationInvalid(
            f"The Pulumi CLI is not installed, and every step but the last needs it. Install it ({INSTALL}), sign in "
            "with `pulumi login`, and run this again; --dry-run prints the commands without it."
        ) from exc

    def run(up: Up) -> None:
        folder = str(STACKS / up.folder)
        opts = automation.LocalWorkspaceOptions(pulumi_command=command)
        try:
            stack = automation.create_or_select_stack(up.stack, work_dir=folder, opts=opts)
            for key, file in up.config.items():
                stack.set_config(key, automation.ConfigValue(file.text, secret=key in SECRETS))
            stack.up(target=list(up.targets) or None, on_output=say)
        except automation.CommandError as exc:
            lines = str(exc).strip().splitlines()
            raise ConfigurationInvalid(
                f"`pulumi up` of {up.folder}/{up.stack} failed: {lines[-1] if lines else exc}."
            ) from exc

    return run
