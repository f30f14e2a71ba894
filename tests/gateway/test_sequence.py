"""What a prompt's client hears: in order, nothing twice, and in the end nothing is missing."""

from typing import Any

from adapters.http.gateway.sequence import Sequence
from domain.file_name import FileName
from domain.outcome import Course, Failure, FailureKind, NodeShown
from workflows.protocol.messages import (
    CachedBody,
    ErrorBody,
    Executed,
    ExecutedBody,
    Executing,
    ExecutingBody,
    ExecutionCached,
    ExecutionError,
    ExecutionInterrupted,
    Message,
    NodeState,
    Progress,
    ProgressState,
    ProgressStateBody,
    encode_message,
)

AT = 1_000
FILE = {"filename": "cat_00001_.png", "subfolder": "", "type": "output"}
NAMES = {("3", 0): FileName("cat_00042_.png", "", "output")}
COURSE = Course(("1",), ("2", "3"), (NodeShown("3", "3", '{"images":[{"filename":"x","type":"output"}]}'),))


def kinds(said: list[Message]) -> list[str]:
    """Each message's type, with the node where it names one."""
    return [f"{each.__struct_config__.tag} {getattr(each.body, 'node', '')}".strip() for each in said]


def cached(*nodes: str) -> Message:
    return ExecutionCached(CachedBody(nodes=nodes, prompt_id="attempt"))


def executing(node: str) -> Message:
    return Executing(ExecutingBody(node=node, display_node=node, prompt_id="attempt"))


def shows(node: str, **ui: Any) -> Message:
    return Executed(ExecutedBody(node=node, display_node=node, output=ui, prompt_id="attempt"))


def states(**nodes: tuple[str, int]) -> Message:
    told = {
        node[1:]: NodeState(value=value, max=10, state=state, node_id=node[1:], prompt_id="attempt")
        for node, (state, value) in nodes.items()
    }
    return ProgressState(ProgressStateBody(prompt_id="attempt", nodes=told))


WHOLE = [
    *("execution_start", "execution_cached", "progress_state", "executing 2"),
    *("progress_state", "progress_state", "executing 3", "executed 3", "progress_state", "execution_success"),
]


def test_what_the_backend_says_is_said_in_its_order_under_the_clients_name() -> None:
    sequence = Sequence("mine")
    said = sequence.begin(AT)
    said += sequence.tell([cached("1"), executing("2"), executing("3"), shows("3", images=[FILE])], NAMES, AT)
    said += sequence.succeed(COURSE, NAMES, AT)
    assert kinds(said) == WHOLE
    assert b"attempt" not in b"".join(map(encode_message, said))
    (executed,) = (each for each in said if isinstance(each, Executed))
    assert executed.body.output == {"images": [FILE | {"filename": "cat_00042_.png"}]}
    assert kinds([sequence.done()]) == ["executing None"]


def test_what_nobody_heard_is_made_up_for_at_the_end() -> None:
    assert kinds(Sequence("mine").succeed(COURSE, NAMES, AT)) == WHOLE
    sequence = Sequence("mine")
    said = sequence.tell([executing("2")], {}, AT) + sequence.succeed(COURSE, NAMES, AT)
    assert sorted(kinds(said)) == sorted(WHOLE)


def test_nothing_is_said_twice() -> None:
    sequence = Sequence("mine")
    heard = [
        cached("1"),
        executing("2"),
        states(n2=("running", 5)),
        executing("3"),
        shows("3", images=[FILE]),
    ]
    first = sequence.tell(heard, NAMES, AT)
    assert kinds(sequence.tell(heard, NAMES, AT)) in (
        [],
        ["progress_state"],
        ["progress_state", "progress 2"],
    )
    assert kinds(first).count("executed 3") == 1
    assert kinds(sequence.begin(AT)) == []


def test_a_nodes_progress_is_said_in_both_ways() -> None:
    sequence = Sequence("mine", began=True)
    said = sequence.tell([executing("2"), states(n2=("running", 5)), states(n2=("running", 5))], {}, AT)
    assert kinds(said) == ["progress_state", "executing 2", "progress_state", "progress 2"]
    (step,) = (each for each in said if isinstance(each, Progress))
    assert (step.body.value, step.body.max, step.body.prompt_id) == (5, 10, "mine")


def test_a_file_is_not_spoken_of_before_it_is_kept_and_what_follows_waits() -> None:
    sequence = Sequence("mine", began=True)
    heard = [executing("3"), shows("3", images=[FILE]), executing("4")]
    assert kinds(sequence.tell(heard, {}, AT)) == ["progress_state", "executing 3"]
    assert sequence.waits_for_files
    assert kinds(sequence.tell([], NAMES, AT)) == [
        *("executed 3", "progress_state", "progress_state", "executing 4"),
    ]
    assert not sequence.waits_for_files


def test_texts_wait_for_nothing() -> None:
    sequence = Sequence("mine", began=True)
    assert kinds(sequence.tell([shows("5", text=["hello"])], {}, AT)) == ["executed 5"]


def test_another_attempt_goes_on_where_the_last_one_broke_off() -> None:
    sequence = Sequence("mine")
    sequence.tell([cached("1"), executing("2"), executing("3"), shows("3", images=[FILE])], NAMES, AT)
    sequence.lost()
    assert sequence.node is None
    again = sequence.tell([cached(), executing("2"), executing("3"), shows("3", images=[FILE])], NAMES, AT)
    assert kinds(again) == [
        *("progress_state", "executing 2", "progress_state", "progress_state", "executing 3"),
    ]
    assert kinds(sequence.succeed(COURSE, NAMES, AT)) == ["progress_state", "execution_success"]


def test_a_failure_is_told_in_plain_words_at_its_node() -> None:
    failure = Failure(FailureKind.NODE, "It broke.", "3", "SaveImage", "Try less.")
    (*begun, error) = Sequence("mine").fail(failure, COURSE, AT)
    assert kinds(begun) == ["execution_start"]
    assert isinstance(error, ExecutionError)
    assert error.body == ErrorBody(
        prompt_id="mine",
        node_id="3",
        node_type="SaveImage",
        executed=("2",),
        exception_message="It broke. Try less.",
        exception_type="RuntimeError",
        current_outputs=("2", "3"),
        timestamp=AT,
    )


def test_nothing_is_said_of_what_is_taken_out_of_the_queue() -> None:
    assert Sequence("mine").interrupt(AT, {}) == []
    sequence = Sequence("mine")
    sequence.tell([executing("2"), executing("3")], {}, AT)
    (told,) = sequence.interrupt(AT, {"3": {"class_type": "KSampler"}})
    assert isinstance(told, ExecutionInterrupted)
    assert (told.body.node_id, told.body.node_type, told.body.executed) == ("3", "KSampler", ("2",))
