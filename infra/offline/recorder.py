"""
Runs a Pulumi program under a monitor that records every registration instead of performing it.

Two worlds: `simulate` makes up outputs, so every apply runs; `preview` leaves them unknown, as a real one does.
"""

import os

os.environ.setdefault("PULUMI_ERROR_OUTPUT_STRING", "1")  # f"{output}" raises instead of planning a warning text

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc
from pulumi.runtime import settings as rt
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.stack import run_in_stack
from pulumi.runtime.sync_await import _ensure_event_loop

from infra.offline import fabricate
from infra.offline.failed import in_words, places_noted
from infra.offline.stuck import Made, unless_stuck
from services.core.kit.errors import PointsmanError

STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Registration:
    urn: str
    type: str
    name: str
    custom: bool
    parent: str
    inputs: dict[str, Any]
    protect: bool
    depends_on: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()


@dataclass
class Recording:
    """What one run of a program registered, in no meaningful order."""

    resources: dict[str, Registration] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # what `up` prints while it goes on
    seconds: float = 0.0


Answers = Mapping[str, Callable[[Any], dict[str, Any]]]


@dataclass(frozen=True)
class Program:
    """`calls` answers data sources by token, `outputs` refines made-up outputs by resource type."""

    main: Callable[[], None]
    project: str
    stack: str
    config: dict[str, str]
    calls: Answers
    outputs: Answers


def record(program: Program, *, simulate: bool) -> Recording:
    """
    Run `program` once in a world of its own.

    Raises:
        ConfigurationInvalid: a mistake in it, in words; its cause is what the program raised.
    """
    recording = Recording()
    started = time.perf_counter()
    # An EMPTY context: a second program never sees the first one's root stack.
    contextvars.Context().run(_run, program, recording, simulate)
    recording.seconds = time.perf_counter() - started
    return recording


def _run(program: Program, recording: Recording, simulate: bool) -> None:
    no_root: Any = None
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        monitor = _Monitor(_World(program, simulate), recording)
        settings = rt.Settings(
            project=program.project,
            stack=program.stack,
            monitor=monitor,
            engine=_Engine(recording),
            dry_run=not simulate,
            organization="offline",
        )
        settings.monitor_features = set(monitor.GetDeploymentInfo(None).supportedFeatures)
        rt.configure(settings)
        rt.set_root_resource(no_root)
        pulumi.runtime.set_all_config(dict(program.config))
        loop.set_exception_handler(lambda *_: None)  # the awaited program reports its error; its siblings repeat it
        made: list[Made] = []
        work = run_in_stack(lambda: _watched(program.main, made))
        with places_noted():
            loop.run_until_complete(unless_stuck(work, made, lambda: len(recording.resources) + monitor.calls))
    except PointsmanError:
        raise
    except Exception as exc:  # a program is anybody's code, and its tracebacks are the SDK's
        raise in_words(exc) from exc
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        asyncio.set_event_loop(None)


def _watched(main: Callable[[], None], made: list[Made]) -> None:
    """
    Notes what is made, and drops its aliases: an Azure type carries dozens of its API versions; a plan needs none, and
    is twice as fast without.
    """

    def drop(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        made.append(Made(args.resource, args.type_, args.name, args.opts, args.props))
        args.opts.aliases = None
        return pulumi.ResourceTransformationResult(args.props, args.opts)

    pulumi.runtime.register_stack_transformation(drop)
    main()


class _World(mocks.Mocks):
    """What the cloud answers when nobody is there."""

    def __init__(self, program: Program, simulate: bool) -> None:
        self.program, self.simulate = program, simulate

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token not in self.program.calls:
            raise LookupError(
                f"The plan has no answer for the data source {args.token}. Add it to infra.offline.answers."
            )
        return self.program.calls[args.token](args.args)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.custom is False:  # a component; None means a read
            return "", {}
        if args.typ.startswith("kubernetes:"):  # an object is what it was given: nobody asks for more
            return f"{args.name}-id", args.inputs
        refine = self.program.outputs.get(args.typ, lambda _: {})
        made_up = {**fabricate.outputs(args.typ, args.name, args.inputs), **refine(args)}
        computed = fabricate.made_up if self.simulate else fabricate.unknown
        given = fabricate.echoed(args.typ, args.name, args.inputs, computed=computed)
        if self.simulate:
            return args.resource_id or made_up.pop("id", f"{args.name}-id"), {**given, **made_up}
        return args.resource_id or None, {**dict.fromkeys(made_up, rpc.UNKNOWN), **given}


class _Engine(mocks.MockEngine):
    def __init__(self, recording: Recording) -> None:
        super().__init__(None)
        self.recording = recording

    def Log(self, request: Any) -> Any:
        if request.severity == engine_pb2.INFO:
            self.recording.said.append(request.message)
            return None
        return super().Log(request)


class _Monitor(mocks.MockMonitor):
    def __init__(self, world: _World, recording: Recording) -> None:
        super().__init__(world)
        self.recording = recording
        self.calls = 0

    def Invoke(self, request: Any) -> Any:
        self.calls += 1
        return super().Invoke(request)

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The engine's rule: the chain of parent types, not only the last one as in the stock mock."""
        if parent and not parent.split("::")[2].endswith(STACK):
            type_ = parent.split("::")[2] + "$" + type_
        return "urn:pulumi:" + "::".join([rt.get_stack(), rt.get_project(), type_, name])

    def RegisterResource(self, request: Any) -> Any:
        _ensure_event_loop()
        if request.type != STACK:
            self._remember(request)
        response = super().RegisterResource(request)
        for key in request.additionalSecretOutputs:  # the engine marks these secret, the stock mock forgets to
            if key in response.object.fields:
                _box_secret(response.object.fields[key])
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:
        _ensure_event_loop()
        if STACK in request.urn:
            self.recording.outputs = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
        return super().RegisterResourceOutputs(request)

    def _remember(self, request: Any) -> None:
        urn = self.make_urn(request.parent, request.type, request.name)
        if urn in self.recording.resources:
            # Never raise inside the call: every dependent future would then log its own copy.
            self.recording.problems.append(f"duplicate URN {urn}: give one of the two another name")
        self.recording.resources[urn] = Registration(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=bool(request.custom),
            parent=request.parent,
            inputs=rpc.deserialize_properties(request.object, keep_unknowns=True),
            protect=bool(request.protect),
            depends_on=self._dependencies(request),
            ignores=tuple(request.ignoreChanges),
        )

    def _dependencies(self, request: Any) -> tuple[str, ...]:
        """
        URNs the engine makes first: named in `depends_on`, used as an input, the provider, the parent. A component is
        registered after what it depends on, so its children wait for the same.
        """
        parent = self.recording.resources.get(request.parent)
        above = () if parent is None else (parent.urn,) if parent.custom else parent.depends_on
        provider = (request.provider.rpartition("::")[0],) if request.provider else ()
        return tuple(sorted({*request.dependencies, *provider, *above}))


def _box_secret(value: Any) -> None:
    plain = type(value)()
    plain.CopyFrom(value)
    value.struct_value.Clear()
    value.struct_value.update({rpc._special_sig_key: rpc._special_secret_sig})
    value.struct_value.fields["value"].CopyFrom(plain)
