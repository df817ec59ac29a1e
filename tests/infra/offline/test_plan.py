"""The offline plan finds each kind of mistake it promises to find: one small program per mistake."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pytest

from infra.offline.answers import CALLS, OUTPUTS
from infra.offline.plan import CLOUDS, load, plan_stack, plan_stacks
from infra.offline.recorder import Program, Recording, record
from infra.offline.schema_check import check_inputs
from infra.offline.strays import stray_values
from services.core.kit.errors import ConfigurationInvalid
from tests.planned import Plans


def run(main: Callable[[], None], *, simulate: bool = True) -> Recording:
    program = Program(main, "pointsman-aws", "test", {"aws:region": "us-east-1"}, CALLS, OUTPUTS)
    return record(program, simulate=simulate)


def queue(label: str = "q", /, **inputs: object) -> aws.sqs.Queue:
    return aws.sqs.Queue(label, **inputs)  # ty: ignore[invalid-argument-type]


def test_a_sound_program_has_no_problem() -> None:
    """What the other tests spoil is sound to begin with."""
    recording = run(lambda: _done(queue(visibility_timeout_seconds=60)))
    assert [*recording.problems, *check_inputs(recording), *stray_values(recording)] == []
    assert [r.type for r in recording.resources.values()] == ["aws:sqs/queue:Queue"]


def _asks(ask: Callable[[pulumi.Output], object]) -> Callable[[], None]:
    return lambda: _done(queue("r", name=queue().arn.apply(ask)))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (_asks(lambda _: next(iter(()))), "StopIteration"),
        (_asks(lambda _: {}["worker"]), "KeyError: 'worker'"),
        (lambda: _done({}["worker"]), "KeyError: 'worker'"),
    ],
)
def test_what_a_program_dies_of_is_a_sentence(program: Callable[[], None], words: str) -> None:
    """An output that nobody made up ended in a traceback of the SDK's tasks, without a word of ours."""
    with pytest.raises(ConfigurationInvalid, match=f"The program failed.*: {words}.*OUTPUTS of infra/offline/answers"):
        run(program)


def test_the_sentence_names_the_line_of_the_program() -> None:
    """Of an output's member as well: its error comes through the SDK's tasks, which forget where it was asked for."""

    def program() -> None:
        _done(queue("r", name=queue().redrive_policy[700]))

    line = program.__code__.co_firstlineno + 1
    with pytest.raises(ConfigurationInvalid, match=rf"failed at tests/infra/offline/test_plan\.py:{line}: IndexError"):
        run(program)


def test_unknown_nested_input_is_found() -> None:
    """A field that the SDK does not know, three levels down, is named with its path."""
    rules = [{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256", "colour": "red"}}]
    recording = run(lambda: _done(aws.s3.BucketServerSideEncryptionConfiguration("b", bucket="x", rules=rules)))
    (problem,) = check_inputs(recording)
    assert "rules[0].applyServerSideEncryptionByDefault.colour: no such input" in problem


def test_a_text_that_a_builder_forgot_is_found() -> None:
    """An alarm of nothing is made without a word; a subscription without an end is meant."""
    (problem,) = stray_values(run(lambda: _done(queue(tags={"alarmed_by": ""}))))
    assert "q.tags.alarmed_by: an empty text" in problem
    assert stray_values(run(lambda: _done(queue(tags={"ttl": ""})))) == []


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"visibility_timeout_seconds": "soon"}, "visibilityTimeoutSeconds: expected int, got 'soon'"),
        ({"fifo_queue": "yes"}, "fifoQueue: expected bool, got 'yes'"),
        ({"name": 7}, "name: expected str, got 7"),
    ],
)
def test_mistyped_input_is_found(inputs: dict[str, object], words: str) -> None:
    """The wrong kind of value is named with the value."""
    (problem,) = check_inputs(run(lambda: _done(queue(**inputs))))
    assert words in problem


def test_missing_required_input_is_found() -> None:
    """A nested object without a field it must have."""
    recording = run(lambda: _done(aws.eks.Cluster("c", role_arn="r", vpc_config={})))
    assert any("vpcConfig.subnetIds: required" in p for p in check_inputs(recording))


def test_wrong_enum_value_is_found() -> None:
    """An Azure enumeration lists its members; another word is refused by the cloud, and here."""
    from pulumi_azure_native import storage

    def main() -> None:
        storage.BlobContainer("c", account_name="a", resource_group_name="g", public_access="Everyone")  # ty: ignore

    (problem,) = check_inputs(run(main))
    assert "publicAccess: 'Everyone' is not one of" in problem


def test_same_named_types_of_two_modules_are_told_apart() -> None:
    """Storage and cognitive services both have an EncryptionArgs; checking one must not teach the other."""
    from pulumi_azure_native import cognitiveservices, storage

    def main() -> None:
        key = {"key_source": "Microsoft.KeyVault", "key_vault_properties": {"key_name": "k"}}
        cognitiveservices.Account("a", resource_group_name="g", properties={"encryption": key})
        storage.StorageAccount(
            "s",
            resource_group_name="g",
            kind="StorageV2",
            sku={"name": "Standard_LRS"},
            encryption={"key_source": "Microsoft.Keyvault", "encryption_identity": {}},
        )

    assert check_inputs(run(main)) == []


def test_dependencies_are_kept_explicit_by_input_and_by_parent() -> None:
    """What the engine makes first, whichever way the program said so."""

    def main() -> None:
        first, second = queue("first"), queue("second")
        around = pulumi.ComponentResource("x:y:Z", "around", opts=pulumi.ResourceOptions(depends_on=[second]))
        inner = pulumi.ResourceOptions(parent=around, depends_on=[first])
        middle = aws.sqs.Queue("middle", policy=second.arn, opts=inner)
        aws.sqs.Queue("last", opts=pulumi.ResourceOptions(parent=middle))

    kept = {r.name: {urn.split("::")[-1] for urn in r.depends_on} for r in run(main).resources.values()}
    assert kept == {
        "first": set(),
        "second": set(),
        "around": {"second"},
        "middle": {"first", "second"},
        "last": {"middle"},
    }


def test_duplicate_urn_is_found() -> None:
    """The stock mock lets two resources of one name pass; the engine does not."""
    recording = run(lambda: _done(queue("same"), queue("same")))
    assert any("duplicate URN" in p for p in recording.problems)


def test_leaked_none_is_found() -> None:
    """An output that nobody made up becomes the word None in a text, or a null in a document."""

    def main() -> None:
        nothing = pulumi.Output.from_input(None)
        queue("a", name=nothing.apply(lambda v: f"queue-{v}"))
        queue("b", policy=pulumi.Output.json_dumps({"Resource": nothing}))

    problems = stray_values(run(main))
    assert any("queue-None" in p for p in problems)
    assert any("null" in p for p in problems)


def test_a_word_that_only_starts_with_none_is_no_leak() -> None:
    """Nonesuch is a name; None is an enum member of Azure's."""
    assert stray_values(run(lambda: _done(queue(name="Nonesuch"), queue("b", name="None")))) == []


def project(tmp_path: Path, body: str, settings: str = "") -> Path:
    """A Pulumi project on disk whose program is `body`, as `aws`, stack `dev`."""
    folder = tmp_path / "aws"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: pointsman-aws\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text(settings or "config: {'aws:region': us-east-1}\n")
    (folder / "__main__.py").write_text(body)
    return tmp_path


def test_resource_created_inside_apply_is_found(tmp_path: Path) -> None:
    """No preview can show it, so the two recordings differ."""
    body = """
import pulumi_aws as aws
first = aws.sqs.Queue("first")
first.arn.apply(lambda arn: aws.sqs.Queue("late", policy=arn))
"""
    problems = plan_stack(load("aws", "dev", root=project(tmp_path, body))).problems
    assert any("Queue::late: created inside apply" in p for p in problems)


def test_missing_capability_is_found(tmp_path: Path) -> None:
    """A program that forgets the bus lacks it in the plan and in the parity table."""
    body = """
import pulumi
from infra.catalogue import CAPABILITIES
for name in CAPABILITIES:
    if name != "bus":
        pulumi.ComponentResource(f"pointsman:index:{name}", name)
"""
    report = plan_stacks(("aws",), "dev", root=project(tmp_path, body))
    assert any(p.startswith("capability bus is missing") for p in report.stacks[0].problems)
    assert {row.capability for row in report.parity if row.aws == -1} == {"bus"}
    assert not report.is_clean


def test_contract_that_differs_is_found(tmp_path: Path, plans: Plans) -> None:
    """A key too many and a value too short are both named."""
    contract = {**plans["aws", "dev"].contract, "colour": "red", "region": ""}
    body = f"import json, pulumi\npulumi.export('contract', json.loads({json.dumps(contract)!r}))\n"
    problems = plan_stack(load("aws", "dev", root=project(tmp_path, body))).problems
    assert any(p.startswith("contract.colour: Extra inputs") for p in problems)
    assert any(p.startswith("contract.region: String should have at least 1 character") for p in problems)


def test_data_source_without_an_answer_says_where_to_add_it(tmp_path: Path) -> None:
    """The plan invents no data: a new lookup needs an answer of its own."""
    body = "import pulumi_aws as aws\naws.ec2.get_ami(most_recent=True)\n"
    with pytest.raises(
        Exception, match=r"no answer for the data source aws:ec2/getAmi:getAmi.*infra\.offline\.answers"
    ):
        plan_stack(load("aws", "dev", root=project(tmp_path, body)))


def test_unknown_stack_names_the_known_ones() -> None:
    """A typing mistake on the command line is answered with the list."""
    with pytest.raises(ConfigurationInvalid, match=r"No stack aws/stage\. Known: .*aws/Pulumi\.dev\.yaml"):
        plan_stacks(("aws",), "stage")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_inputs_hold_plain_json(plans: Plans, cloud: str) -> None:
    """Secrets are masked and unknowns named, so a plan can be printed and stored."""
    text = json.dumps([r.inputs for r in plans[cloud, "prod"].resources])
    assert "4dabf18193072939515e22adb298388d" not in text  # how Pulumi marks special values on the wire


def _done(*_: pulumi.Resource) -> None:
    """A lambda that registers resources and returns nothing."""


def _inside_out() -> None:
    """A component that waits for its own child: Pulumi itself does not see this one."""
    ready: list[pulumi.Resource] = []
    around = pulumi.ComponentResource("x:y:Around", "around", opts=pulumi.ResourceOptions(depends_on=ready))
    ready.append(aws.sqs.Queue("inner", opts=pulumi.ResourceOptions(parent=around)))


def _through_a_value() -> None:
    """Each waits for the other's name, by a value that is set by hand."""
    later = asyncio.get_event_loop().create_future()
    first = aws.sqs.Queue("first", name=pulumi.Output.from_input(later))
    second = aws.sqs.Queue("second", name=first.arn)
    task = asyncio.ensure_future(second.arn.future())
    task.add_done_callback(lambda done: later.set_result(done.result()))


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (_inside_out, r"x:y:Around around waits for aws:sqs/queue:Queue inner waits for x:y:Around around"),
        (_through_a_value, r"waits for a value that nobody gives: .*Queue first"),
    ],
)
def test_a_circle_is_an_error_that_names_it(main: Callable[[], None], words: str) -> None:
    """It hung, without a word; the engine would hang as well."""
    with pytest.raises(ConfigurationInvalid, match=words):
        run(main)
