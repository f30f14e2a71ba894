"""A workflow and its versions."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.copying import Brought, bring_in, restore
from domain.ids import Digest
from domain.refusals import Conflict, Invalid, NotFound
from domain.thumbnail import remove as remove_thumbnail
from domain.thumbnail import show
from domain.trash import delete, recover, throw_away
from domain.workflow import (
    WORKFLOW,
    Requirements,
    SavedVersion,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowDescribed,
    WorkflowImported,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowRenamed,
    WorkflowTagged,
    WorkflowThumbnailRemoved,
    WorkflowThumbnailSet,
    WorkflowTrashed,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
    create,
    describe,
    executed,
    publish,
    rename,
    runnable,
    save_version,
    tag,
    withdraw,
)
from domain.workflow_texts import MAX_DESCRIPTION, MAX_NAME, MAX_NOTE, MAX_TAG, MAX_TAGS
from tests.domain.facts import (
    ANN,
    BOB,
    NOON,
    WORKFLOW_ID,
    content,
    created,
    first_version,
    output,
    second_version,
)
from tests.domain.scenario import Scenario

workflow = Scenario(WORKFLOW)
kept = workflow.given(created, first_version)
published = kept.given(WorkflowPublished())
deleted = kept.given(WorkflowDeleted())
trashed = published.given(WorkflowWithdrawn(), WorkflowTrashed(published=True))
pictured = kept.given(WorkflowThumbnailSet(thumbnails=output.thumbnails))
forgotten = WorkflowThumbnailRemoved(digests=(output.thumbnails[0].digest,))
WISHES: list[tuple[Any, dict[str, Any]]] = [
    (save_version, {"graph": content("c")}),
    (restore, {"number": 1}),
    (rename, {"name": "Other"}),
    (describe, {"description": "Soft light."}),
    (tag, {"tags": ("x",)}),
    (publish, {}),
    (withdraw, {}),
    (show, {"thumbnails": output.thumbnails}),
    (remove_thumbnail, {}),
    (recover, {}),
    (throw_away, {}),
    (delete, {}),
]


def test_a_workflow_is_created_once() -> None:
    made = workflow.given().when(create, owner=ANN, name=" Portrait ", tags=("Face ", "face"))
    made.then(WorkflowCreated(owner=ANN, name="Portrait", tags=("face",))).and_again_refused(Conflict)


def test_a_restored_version_is_a_new_one_that_names_its_origin() -> None:
    restored = workflow.given(created, first_version, second_version).when(
        restore, by=ANN, number=1, note="back"
    )
    again = WorkflowVersionSaved(
        number=3,
        graph=first_version.graph,
        requirements=first_version.requirements,
        note="back",
        restored_from=1,
    )
    restored.then(again).and_again_nothing()


def test_what_is_the_newest_already_is_not_restored() -> None:
    workflow.given(created, first_version, second_version).when(restore, by=ANN, number=2).then_nothing()


@pytest.mark.parametrize("number", [0, -1, 3, 10**30])
def test_only_what_was_saved_is_restored(number: int) -> None:
    restored = workflow.given(created, first_version, second_version).when(restore, by=ANN, number=number)
    restored.then_refused(NotFound, "no such version")


def test_out_of_an_archive_it_comes_with_all_its_versions() -> None:
    first, other = (
        SavedVersion(content("a"), None, Requirements()),
        SavedVersion(content("b"), content("e"), Requirements()),
    )
    wish = {
        "owner": ANN,
        "name": " Portrait ",
        "description": "",
        "tags": ("Face",),
        "source": WORKFLOW_ID,
        "saved_at": (NOON,),
    }
    again = (
        Brought(first),
        Brought(other, "more"),
        Brought(first, restored_from=1),
        Brought(other, restored_from=1),
    )
    workflow.given().when(bring_in, versions=again, **wish).then(
        WorkflowCreated(owner=ANN, name="Portrait", tags=("face",)),
        WorkflowImported(source=WORKFLOW_ID, saved_at=(NOON,)),
        WorkflowVersionSaved(number=1, graph=content("a")),
        WorkflowVersionSaved(number=2, graph=content("b"), editor_graph=content("e"), note="more"),
        WorkflowVersionSaved(number=3, graph=content("a"), restored_from=1),
        WorkflowVersionSaved(number=4, graph=content("b"), editor_graph=content("e")),  # it was another one
    ).and_again_refused(Conflict)
    twice = (Brought(first), Brought(first))
    workflow.given().when(bring_in, versions=twice, **wish).then_invalid("file")
    long = (Brought(first, "x" * (MAX_NOTE + 1)),)
    workflow.given().when(bring_in, versions=long, **wish).then_invalid("note")


def test_versions_are_numbered() -> None:
    saved = kept.when(save_version, by=ANN, graph=content("b"), note="sharper")
    saved.then(second_version).and_again_nothing()


def test_the_same_content_is_no_new_version() -> None:
    kept.when(
        save_version, by=ANN, graph=content("a"), requirements=Requirements(("KSampler",))
    ).then_nothing()


def test_an_earlier_content_is_a_new_version_again() -> None:
    older = content("a")
    kept.given(second_version).when(save_version, by=ANN, graph=older).then(
        WorkflowVersionSaved(number=3, graph=older)
    )


def test_another_editor_graph_is_a_new_version() -> None:
    kept.when(
        save_version,
        by=ANN,
        graph=content("a"),
        editor_graph=content("e"),
        requirements=Requirements(("KSampler",)),
    ).then(
        WorkflowVersionSaved(
            number=2, graph=content("a"), editor_graph=content("e"), requirements=Requirements(("KSampler",))
        )
    )


def test_it_is_renamed() -> None:
    kept.when(rename, by=ANN, name=" Other ").then(WorkflowRenamed(name="Other")).and_again_nothing()


def test_it_is_described() -> None:
    kept.when(describe, by=ANN, description="Soft.").then(
        WorkflowDescribed(description="Soft.")
    ).and_again_nothing()


def test_it_is_tagged() -> None:
    kept.when(tag, by=ANN, tags=("Night  Sky", "x")).then(
        WorkflowTagged(tags=("night sky", "x"))
    ).and_again_nothing()


def test_it_is_published_and_withdrawn() -> None:
    kept.when(publish, by=ANN).then(WorkflowPublished()).and_again_nothing()
    published.when(withdraw, by=ANN).then(WorkflowWithdrawn()).and_again_nothing()


def test_it_is_deleted_for_good_wherever_it_is() -> None:
    for there in (kept, trashed):
        there.when(delete, by=ANN).then(WorkflowDeleted()).and_again_nothing()
    deleted.when(throw_away, by=ANN).then_nothing()


def test_what_everybody_sees_is_withdrawn_before_it_is_deleted() -> None:
    published.when(delete, by=ANN).then(WorkflowWithdrawn(), WorkflowDeleted()).and_again_nothing()


def test_it_is_thrown_away_and_taken_back_as_it_was() -> None:
    published.when(throw_away, by=ANN).then(
        WorkflowWithdrawn(), WorkflowTrashed(published=True)
    ).and_again_nothing()
    trashed.when(recover, by=ANN).then(WorkflowRecovered(), WorkflowPublished()).and_again_nothing()
    private = kept.when(throw_away, by=ANN)
    private.then(WorkflowTrashed()).and_again_nothing()
    kept.given(WorkflowTrashed()).when(recover, by=ANN).then(WorkflowRecovered()).and_again_nothing()


def test_it_is_shown_by_a_picture_and_without_one() -> None:
    kept.when(show, by=ANN, thumbnails=output.thumbnails).then(
        WorkflowThumbnailSet(thumbnails=output.thumbnails)
    ).and_again_nothing()
    other = (replace(output.thumbnails[0], digest=Digest("e" * 64)),)
    pictured.when(show, by=ANN, thumbnails=other).then(
        forgotten, WorkflowThumbnailSet(thumbnails=other)
    ).and_again_nothing()
    pictured.when(remove_thumbnail, by=ANN).then(forgotten).and_again_nothing()
    kept.when(show, by=ANN, thumbnails=()).then_refused(Invalid)


def test_what_is_deleted_needs_its_picture_no_more() -> None:
    pictured.when(delete, by=ANN).then(forgotten, WorkflowDeleted())
    pictured.when(throw_away, by=ANN).then(WorkflowTrashed())


@pytest.mark.parametrize(("decide", "wish"), WISHES)
def test_to_a_stranger_it_does_not_exist(decide: Any, wish: dict[str, Any]) -> None:
    published.when(decide, by=BOB, **wish).then_refused(NotFound, "no such workflow")


@pytest.mark.parametrize(("decide", "wish"), WISHES[:-2])
def test_once_deleted_it_does_not_exist(decide: Any, wish: dict[str, Any]) -> None:
    deleted.when(decide, by=ANN, **wish).then_refused(NotFound)


@pytest.mark.parametrize(("decide", "wish"), WISHES[:-3])
def test_in_the_trash_nothing_else_can_be_done_with_it(decide: Any, wish: dict[str, Any]) -> None:
    trashed.when(decide, by=ANN, **wish).then_refused(NotFound)


@pytest.mark.parametrize("name", ["", "   ", "x" * (MAX_NAME + 1), "a\0b", "a\x1bb"])
def test_a_name_must_be_a_name(name: str) -> None:
    workflow.given().when(create, owner=ANN, name=name).then_invalid("name")
    kept.when(rename, by=ANN, name=name).then_invalid("name")


@pytest.mark.parametrize(
    "tags", [("",), ("x" * (MAX_TAG + 1),), tuple(map(str, range(MAX_TAGS + 1))), ("a\0",)]
)
def test_tags_must_be_tags(tags: tuple[str, ...]) -> None:
    kept.when(tag, by=ANN, tags=tags).then_invalid("tags")


@pytest.mark.parametrize("description", ["x" * (MAX_DESCRIPTION + 1), "a\0b"])
def test_a_description_has_bounds(description: str) -> None:
    kept.when(describe, by=ANN, description=description).then_invalid("description")


def test_a_note_has_bounds() -> None:
    kept.when(save_version, by=ANN, graph=content("b"), note="x" * (MAX_NOTE + 1)).then_invalid("note")


def test_the_owner_runs_any_version() -> None:
    state = kept.given(second_version).state
    assert runnable(state, by=ANN, number=None)[0] == 2
    assert runnable(state, by=ANN, number=1)[1].graph == content("a")


def test_others_run_what_is_published() -> None:
    assert runnable(published.state, by=BOB, number=1)[0] == 1
    for state in (kept.state, published.given(WorkflowWithdrawn()).state, deleted.state, trashed.state):
        with pytest.raises(NotFound):
            runnable(state, by=BOB, number=1)


@pytest.mark.parametrize("number", [0, -1, 2])
def test_a_version_that_is_not_there_is_not_run(number: int) -> None:
    with pytest.raises(NotFound, match="no such version"):
        runnable(kept.state, by=ANN, number=number)


def test_a_version_of_which_only_the_editors_graph_is_known_is_kept_but_not_run() -> None:
    drawn = {"graph": None, "editor_graph": content("e"), "unconverted": "It has a node that nobody knows."}
    saved = WorkflowVersionSaved(number=2, **drawn)
    kept.when(save_version, by=ANN, **drawn).then(saved)
    kept.given(saved).when(save_version, by=ANN, **drawn).then_nothing()
    with pytest.raises(Conflict, match="Version 2 cannot be run: It has a node that nobody knows"):
        executed(*runnable(kept.given(saved).state, by=ANN, number=None))
    assert executed(*runnable(kept.given(saved).state, by=ANN, number=1)) == content("a")


def test_a_version_without_any_graph_is_none() -> None:
    kept.when(save_version, by=ANN, graph=None, unconverted="Nothing.").then_invalid("graph")
    kept.when(save_version, by=ANN, graph=None, editor_graph=content("e")).then_invalid("graph")
