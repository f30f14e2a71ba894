"""Comments: said, put otherwise, deleted, and what may be said at all."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.account import Role
from domain.comment import (
    COMMENT,
    MAX_MENTIONS,
    MAX_TEXT,
    Comment,
    CommentDeleted,
    CommentEdited,
    CommentEvent,
    CommentPosted,
    delete,
    edit,
    named,
    post,
)
from domain.ids import CommentId, WorkflowId, output_id
from domain.place import OutputPlace, Place, ShownOutput
from domain.refusals import Conflict, Invalid, NotFound
from domain.shared_output import SHARED_OUTPUT, SharedOutput
from domain.workflow import WORKFLOW, Workflow, WorkflowDeleted, WorkflowPublished, WorkflowWithdrawn
from tests.domain.facts import ANN, BOB, WORKFLOW_ID, created, first_version, output
from tests.domain.scenario import Scenario
from tests.domain.test_properties import decided
from tests.domain.test_shared_output import AT, RUN_ID, published, run, withdrawn
from tests.domain.test_shared_output import gone as gone_run
from tests.domain.test_shared_output import hidden as hidden_output

comment = Scenario(COMMENT)
private = WORKFLOW.fold(Workflow(), [created, first_version])
public = WORKFLOW.fold(private, [WorkflowPublished()])
hidden = WORKFLOW.fold(public, [WorkflowWithdrawn()])
gone = WORKFLOW.fold(public, [WorkflowDeleted()])
PARENT = CommentId(UUID(int=0xC0))
posted = CommentPosted(owner=BOB, workflow=WORKFLOW_ID, text="Nice.")
edited = CommentEdited(text="Very nice.", mentions=(ANN,))
deleted = CommentDeleted(workflow=WORKFLOW_ID, by=BOB)
parent = COMMENT.fold(Comment(), [posted])
BY: dict[str, Any] = {"by": BOB, "place": Place(workflow=WORKFLOW_ID)}


def test_whoever_sees_a_workflow_may_say_something() -> None:
    comment.given().when(post, scene=public, text=" Nice.\n", **BY).then(posted).and_again_refused(Conflict)
    own = {"by": ANN, "place": Place(workflow=WORKFLOW_ID), "text": "Mine."}
    comment.given().when(post, scene=private, **own).then(
        CommentPosted(owner=ANN, workflow=WORKFLOW_ID, text="Mine.")
    )


def test_what_one_may_not_see_one_says_nothing_about() -> None:
    for unseen in (private, hidden, gone, Workflow()):
        comment.given().when(post, scene=unseen, text="x", **BY).then_refused(NotFound)
        comment.given(posted).when(edit, scene=unseen, by=BOB, text="x").then_refused(NotFound)


def test_an_output_is_talked_about_as_a_workflow_is_while_it_is_shown() -> None:
    place = Place(output=OutputPlace(output_id(RUN_ID, output.node, output.index), **AT))
    told = CommentPosted(owner=BOB, output=place.output, text="A fox!")
    said = {"by": BOB, "place": place, "text": "A fox!"}
    on_show = ShownOutput(SHARED_OUTPUT.fold(SharedOutput(), [published]), run)
    comment.given().when(post, scene=on_show, **said).then(told)
    comment.given(told).when(delete, by=BOB).then(CommentDeleted(output=place.output, by=BOB))
    for history, its_run in (
        ([published, withdrawn], run),
        ([published, hidden_output], run),
        ([published], gone_run),
        ([], run),
    ):
        unseen = ShownOutput(SHARED_OUTPUT.fold(SharedOutput(), history), its_run)
        comment.given().when(post, scene=unseen, **said).then_refused(NotFound)
        comment.given(told).when(edit, scene=unseen, by=BOB, text="x").then_refused(NotFound)
    elsewhere = {"parent": parent, "answers": PARENT}  # it stands on a workflow
    comment.given().when(post, scene=on_show, **said, **elsewhere).then_refused(NotFound)


def test_an_answer_belongs_to_what_it_answers() -> None:
    answer = CommentPosted(owner=BOB, workflow=WORKFLOW_ID, text="Yes.", parent=PARENT, mentions=(ANN,))
    asked = {"text": "Yes.", "answers": PARENT, "mentions": (ANN,), **BY}
    comment.given().when(post, scene=public, parent=parent, **asked).then(answer)
    elsewhere = COMMENT.fold(
        Comment(), [CommentPosted(owner=ANN, workflow=WorkflowId(UUID(int=9)), text="x")]
    )
    for unknown in (elsewhere, Comment()):
        comment.given().when(post, scene=public, parent=unknown, **asked).then_refused(NotFound)
    over = COMMENT.fold(parent, [deleted])
    comment.given().when(post, scene=public, parent=over, **asked).then_refused(Conflict, "deleted")


def test_only_its_author_puts_it_otherwise() -> None:
    comment.given(posted).when(edit, scene=public, by=BOB, text="Very nice.", mentions=(ANN,)).then(
        edited
    ).and_again_nothing()
    comment.given(posted).when(edit, scene=public, by=ANN, text="Bad.").then_refused(NotFound)
    comment.given(posted, deleted).when(edit, scene=public, by=BOB, text="x").then_refused(NotFound)
    comment.given().when(edit, scene=public, by=BOB, text="x").then_refused(NotFound)


def test_its_author_and_those_who_keep_order_delete_it() -> None:
    comment.given(posted).when(delete, by=BOB).then(deleted).and_again_nothing()
    by_order = CommentDeleted(workflow=WORKFLOW_ID, by=ANN)
    for role in Role:
        outcome = comment.given(posted).when(delete, by=ANN, role=role)
        if role is Role.MEMBER:
            outcome.then_refused(NotFound)
        else:
            outcome.then(by_order).and_again_nothing()
    comment.given().when(delete, by=BOB, role=Role.ADMIN).then_refused(NotFound)


@pytest.mark.parametrize("text", ["", " \n", "x" * (MAX_TEXT + 1), "a\x00b", "\x1b[31m"])
def test_what_is_no_text_is_refused(text: str) -> None:
    comment.given().when(post, scene=public, text=text, **BY).then_invalid("text")
    comment.given(posted).when(edit, scene=public, by=BOB, text=text).then_invalid("text")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@Bob and @bob, (@ann_b). Thanks @carl.", ("bob", "ann_b", "carl")),
        ("mail ann@example.org, @@bob @x @-bob @bob@example.org", ()),
        ("<b>@eve</b>", ("eve",)),
        (f"@{'x' * 41}", ()),
    ],
)
def test_a_name_behind_an_at_is_a_mention(text: str, names: tuple[str, ...]) -> None:
    assert named(text) == names


def test_a_crowd_is_not_called_together() -> None:
    with pytest.raises(Invalid):
        named(" ".join(f"@someone{number}" for number in range(MAX_MENTIONS + 1)))


@given(
    some.lists(
        some.sampled_from(
            [
                (post, {"scene": public, "text": "One.", **BY}),
                (edit, {"scene": public, "by": BOB, "text": "Two."}),
                (edit, {"scene": public, "by": BOB, "text": "Three."}),
                (edit, {"scene": hidden, "by": BOB, "text": "Four."}),
                (edit, {"scene": public, "by": ANN, "text": "Five."}),
                (delete, {"by": BOB}),
                (delete, {"by": ANN}),
                (delete, {"by": ANN, "role": Role.ADMIN}),
            ]
        ),
        max_size=30,
    )
)
def test_what_was_deleted_stays_deleted_and_the_log_tells_the_same(
    wishes: list[tuple[Any, dict[str, Any]]],
) -> None:
    state, history = Comment(), list[CommentEvent]()
    for decide, wish in wishes:
        before = state
        state, events = decided(COMMENT, state, decide, wish)
        history += events
        if before.deleted:
            assert not events
        assert decided(COMMENT, state, decide, wish)[1] == []
        assert state.owner in (None, BOB)
    assert COMMENT.fold(COMMENT.initial, history) == state
