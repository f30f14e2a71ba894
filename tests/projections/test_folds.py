"""What each read model shows after some events."""

from itertools import pairwise
from typing import Any, get_args
from uuid import UUID, uuid4

import msgspec
import pytest

from domain.account import (
    AccountErased,
    AccountLoggedIn,
    AccountRegistered,
    AccountReinstated,
    AccountSuspended,
    Role,
    RoleGiven,
)
from domain.backend import BackendLost, BackendSeen
from domain.batch import BatchCancelled, BatchSubmitted
from domain.event import Event, topic
from domain.ids import AccountId, BatchId, Digest, RunId, backend_id
from domain.outcome import Failure, FailureKind
from domain.personal import Personal
from domain.run import (
    InBatch,
    OutputDeleted,
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunDeleted,
    RunDismissed,
    RunEvent,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStarted,
    RunStopped,
    RunSubmitted,
    RunSucceeded,
    Status,
)
from domain.source import ParametersSource, TemplateSource
from domain.workflow import (
    Content,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowDescribed,
    WorkflowForked,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowRenamed,
    WorkflowTagged,
    WorkflowThumbnailRemoved,
    WorkflowThumbnailSet,
    WorkflowTrashed,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)
from projections.audit_trail import AUDIT_TRAIL
from projections.gallery import GALLERY
from projections.gallery_rows import AuthorRow
from projections.people import PEOPLE_HERE
from projections.rows import NotLoadedError, Rows
from projections.run_rows import CHANGES, RunRow, SourceRow
from projections.run_status import RUN_STATUS
from projections.usage import USAGE, DayRow
from projections.workflow_rows import MAX_ANCESTORS, WORKFLOWS
from projections.workflow_shelf import WORKFLOW_SHELF
from projections.writer import empty
from tests.domain.facts import SESSION
from tests.projections.ground import NOON, folded, recorded
from tests.projections.stories import ANN, GRAPH, joined, output, submitted

ID = uuid4()
created = WorkflowCreated(owner=ANN, name="Cats", tags=("cat",))
first, second = WorkflowVersionSaved(number=1, graph=GRAPH), WorkflowVersionSaved(number=2, graph=GRAPH)
lost = Failure(FailureKind.LOST, "The machine went away.")
claimed, started = RunClaimed(epoch=1, backend="gpu-1", executor="one"), RunStarted(epoch=1, backend="gpu-1")


def run_row(*events: Event) -> RunRow:
    (row,) = folded(RUN_STATUS, *((ID, event) for event in events))["runs"]
    assert isinstance(row, RunRow)
    return row


def test_the_shelf_shows_a_workflow_as_it_was_last_changed() -> None:
    changes = (
        WorkflowRenamed(name="Dogs"),
        WorkflowDescribed(description="woof"),
        WorkflowTagged(tags=("d",)),
    )
    tables = folded(WORKFLOW_SHELF, *((ID, event) for event in (created, first, second, *changes)))
    (row,) = tables["workflows"]
    assert (row.name, row.description, row.tags, row.versions) == ("Dogs", "woof", ("d",), 2)
    assert row.created_at < row.updated_at
    assert [version.number for version in tables["workflow_versions"]] == [1, 2]


def test_published_versions_are_public_and_withdrawn_ones_are_not() -> None:
    story = (created, first, WorkflowPublished(), second)
    tables = folded(WORKFLOW_SHELF, *((ID, event) for event in story))
    assert [version.public for version in tables["workflow_versions"]] == [True, True]
    tables = folded(WORKFLOW_SHELF, *((ID, event) for event in (*story, WorkflowWithdrawn())))
    assert [version.public for version in tables["workflow_versions"]] == [False, False]


def test_a_deleted_workflow_leaves_the_shelf_with_its_versions() -> None:
    story = (created, first, WorkflowDeleted(), WorkflowRenamed(name="late"))
    assert folded(WORKFLOW_SHELF, *((ID, event) for event in story)) == {
        "workflows": [],
        "workflow_versions": [],
        "workflow_lines": [],
    }


def test_what_is_in_the_trash_is_kept_out_of_sight_until_it_is_taken_back() -> None:
    story = [(ID, event) for event in (created, first, WorkflowTrashed())]
    tables = folded(WORKFLOW_SHELF, *story)
    assert [row.trashed_at for row in tables["workflows"]] == [NOON.replace(second=3)]
    assert [version.trashed for version in tables["workflow_versions"]] == [True]
    tables = folded(WORKFLOW_SHELF, *story, (ID, WorkflowRecovered()))
    assert [row.trashed_at for row in tables["workflows"]] == [None]
    assert [version.trashed for version in tables["workflow_versions"]] == [False]


def test_a_forks_line_goes_on_where_that_of_its_source_ends() -> None:
    child, grandchild = uuid4(), uuid4()
    story = (
        (ID, created),
        (child, created),
        (child, WorkflowForked(source=ID, number=1)),
        (grandchild, created),
        (grandchild, WorkflowForked(source=child, number=1)),
    )
    tables = folded(WORKFLOW_SHELF, *story)
    lines = {row.id: row.ancestors for row in tables["workflows"]}
    assert lines == {ID: (), child: (ID,), grandchild: (ID, child)}
    assert {(row.workflow, row.place, row.ancestor) for row in tables["workflow_lines"]} == {
        (child, 0, ID),
        (grandchild, 0, ID),
        (grandchild, 1, child),
    }
    gone = folded(WORKFLOW_SHELF, *story, (grandchild, WorkflowDeleted()))["workflow_lines"]
    assert [row.workflow for row in gone] == [child]


def test_of_a_long_line_the_nearest_are_kept() -> None:
    ids = [uuid4() for _ in range(MAX_ANCESTORS + 3)]
    story: list[tuple[UUID, Event]] = [(ids[0], created)]
    for source, id in pairwise(ids):
        story += [(id, created), (id, WorkflowForked(source=source, number=1))]
    row = next(row for row in folded(WORKFLOW_SHELF, *story)["workflows"] if row.id == ids[-1])
    assert row.ancestors == tuple(ids[-1 - MAX_ANCESTORS : -1])


def test_a_workflow_is_shown_by_its_picture_everywhere() -> None:
    shown = WorkflowThumbnailSet(thumbnails=output().thumbnails)
    for projection, table in ((WORKFLOW_SHELF, "workflows"), (GALLERY, "gallery")):
        (row,) = folded(projection, (ID, created), (ID, shown))[table]
        assert row.thumbnails == output().thumbnails
        gone = WorkflowThumbnailRemoved(digests=(output().thumbnails[0].digest,))
        (row,) = folded(projection, (ID, created), (ID, shown), (ID, gone))[table]
        assert row.thumbnails == ()


def in_gallery(*events: tuple[UUID, Event]) -> dict[str, list[Any]]:
    return folded(GALLERY, (ANN, registered("ann")), (ID, created), (ID, first), *events)


def registered(text: str | None) -> AccountRegistered:
    return AccountRegistered(account=ANN, username=Personal("", text))


def test_the_gallery_shows_what_is_published_with_its_author() -> None:
    shown = in_gallery((ID, WorkflowPublished()))
    assert shown["gallery_authors"] == [AuthorRow(ANN, "ann", 1)]
    (row,) = shown["gallery"]
    assert (row.owner, row.name, row.versions) == (ANN, "Cats", 1)
    assert row.published_at == NOON.replace(second=4)


@pytest.mark.parametrize("hidden", [WorkflowWithdrawn(), WorkflowDeleted()], ids=topic)
def test_the_gallery_names_nobody_of_whom_it_shows_nothing(hidden: Event) -> None:
    """Told twice, it is counted once."""
    assert in_gallery()["gallery_authors"] == [AuthorRow(ANN, "ann", 0)]
    published = (ID, WorkflowPublished())
    after = in_gallery(published, published, (ID, hidden), (ID, hidden))
    assert after["gallery_authors"] == [AuthorRow(ANN, "ann", 0)]
    assert all(row.published_at is None for row in after["gallery"])


def test_the_gallery_keeps_what_a_deleted_account_has_published() -> None:
    erased = in_gallery((ID, WorkflowPublished()), (ANN, AccountErased()))
    assert erased["gallery_authors"] == [AuthorRow(ANN, "deleted account", 1)]
    assert len(erased["gallery"]) == 1


def test_rebuilt_without_the_key_the_gallery_is_the_same() -> None:
    (row,) = folded(GALLERY, (ANN, registered(None)))["gallery_authors"]
    assert row == AuthorRow(ANN, "deleted account", 0)


def test_people_are_shown_in_their_role_and_standing() -> None:
    away = AccountSuspended(reason="Mining.", epoch=1)
    given = RoleGiven(role=Role.MODERATOR, reason="Because.")
    story = ((ANN, registered("Ann")), (ANN, AccountLoggedIn(session=SESSION)), (ANN, given), (ANN, away))
    (row,) = folded(PEOPLE_HERE, *story)["people"]
    assert (row.username, row.name_key, row.role) == ("Ann", "ann", Role.MODERATOR)
    assert (row.suspended_for, row.suspended_at) == ("Mining.", NOON.replace(second=4))
    assert row.logged_in_at == NOON.replace(second=2)
    (back,) = folded(PEOPLE_HERE, *story, (ANN, AccountReinstated(reason="A mistake.")))["people"]
    assert (back.suspended_for, back.suspended_at) == ("", None)


@pytest.mark.parametrize("name", ["Ann", None])
def test_an_erased_person_is_not_among_them_with_or_without_the_key(name: str | None) -> None:
    assert folded(PEOPLE_HERE, (ANN, registered(name)), (ANN, AccountErased()))["people"] == []


def test_the_audit_trail_holds_no_personal_text() -> None:
    (row,) = folded(AUDIT_TRAIL, (ANN, registered("ann")))["audit_trail"]
    assert b"ann" not in bytes(row.data)
    assert b'"username":{"sealed":""}' in bytes(row.data)


def test_a_claimed_run_still_counts_as_queued() -> None:
    row = run_row(submitted(ANN), claimed)
    assert (row.status, row.backend, row.epoch) == (Status.QUEUED, "gpu-1", 1)


def test_a_finished_run_knows_when_and_how_long() -> None:
    row = run_row(submitted(ANN), claimed, started, RunSucceeded(epoch=1, execution_s=2.5, outputs=0))
    assert (row.status, row.execution_s, row.position) == (Status.SUCCEEDED, 2.5, 4)
    assert row.started_at == NOON.replace(second=3)
    assert row.ended_at == NOON.replace(second=4)


def test_a_failed_run_tells_why() -> None:
    row = run_row(submitted(ANN), claimed, RunAttemptLost(epoch=1, failure=lost), RunFailed(failure=lost))
    assert (row.status, row.failure, row.attempts_lost) == (Status.FAILED, lost, 1)


def test_a_run_that_waits_for_another_attempt_says_until_when() -> None:
    row = run_row(
        submitted(ANN), claimed, started, RunAttemptLost(epoch=1, failure=lost), RunRequeued(not_before=NOON)
    )
    assert (row.status, row.not_before, row.backend, row.started_at) == (Status.QUEUED, NOON, None, None)


def test_a_cancelled_run_has_ended() -> None:
    row = run_row(submitted(ANN), RunCancelled(by=ANN))
    assert (row.status, row.ended_at) == (Status.CANCELLED, NOON.replace(second=2))


def test_a_run_tells_where_it_waits() -> None:
    assert run_row(submitted(ANN)).pool == "shared"
    assert run_row(msgspec.structs.replace(submitted(ANN), pool="fast")).pool == "fast"


def test_a_run_tells_how_long_it_kept_machines_busy() -> None:
    lost_after = RunAttemptLost(epoch=1, failure=lost, execution_s=2.0)
    begun = (submitted(ANN), claimed, started, lost_after, RunRequeued(not_before=NOON))
    again = (*begun, RunStarted(epoch=2, backend="gpu-2"))
    assert run_row(*again, RunSucceeded(epoch=2, execution_s=1.5, outputs=0)).run_seconds == 3.5
    assert run_row(*again, RunCancelled(by=ANN)).run_seconds == 3.0  # each event is a second after the last
    assert run_row(*begun, RunCancelled(by=ANN)).run_seconds == 2.0
    assert run_row(*begun[:4], RunFailed(failure=lost, execution_s=2.0)).run_seconds == 2.0


def test_a_run_that_was_put_back_waits_again() -> None:
    story = (RunAttemptLost(epoch=1, failure=lost), RunFailed(failure=lost))
    row = run_row(submitted(ANN), claimed, started, *story, RunRevived(not_before=NOON, reason="Mended."))
    assert (row.status, row.failure, row.ended_at, row.not_before) == (Status.QUEUED, None, None, NOON)


def test_outputs_of_a_lost_attempt_are_gone() -> None:
    story = [submitted(ANN), claimed, started, OutputStored(epoch=1, output=output())]
    tables = folded(RUN_STATUS, *((ID, event) for event in story))
    assert [(row.node, row.owner) for row in tables["outputs"]] == [("9", ANN)]
    story = [*story, RunAttemptLost(epoch=1, failure=lost), OutputStored(epoch=2, output=output("7"))]
    tables = folded(RUN_STATUS, *((ID, event) for event in story))
    assert [(row.node, row.epoch) for row in tables["outputs"]] == [("7", 2)]


def test_a_lost_backend_says_why_and_since_when() -> None:
    gpu = backend_id("gpu-1")
    seen = BackendSeen(name="gpu-1", executor="one", device="A100")
    (row,) = folded(RUN_STATUS, (gpu, seen), (gpu, BackendLost(name="gpu-1", reason="silent")))["backends"]
    assert (row.live, row.reason, row.device, row.since) == (False, "silent", "A100", NOON.replace(second=2))


def test_the_audit_trail_keeps_every_event_as_it_is() -> None:
    rows = folded(AUDIT_TRAIL, (ID, created), (ID, WorkflowPublished()))["audit_trail"]
    assert [(row.position, row.kind, row.topic) for row in rows] == [
        (1, "workflow", "workflow.created.v1"),
        (2, "workflow", "workflow.published.v1"),
    ]
    assert b'"name":"Cats"' in bytes(rows[0].data)


def test_a_fold_that_looks_at_rows_not_loaded_is_refused() -> None:
    with pytest.raises(NotLoadedError):
        Rows(WORKFLOWS).get(UUID(int=1))


def test_strangers_events_change_nothing() -> None:
    account, _, registered = joined(AccountId(uuid4()), "eve")
    assert not any(folded(RUN_STATUS, (account, registered)).values())


def test_no_event_of_a_run_is_forgotten() -> None:
    unseen = {RunDismissed, RunStopped}  # here; see prompts
    assert {RunSubmitted, RunDeleted, *CHANGES} | unseen == set(get_args(RunEvent))


def test_a_deleted_run_is_gone_with_its_outputs() -> None:
    story = (submitted(ANN), claimed, started, OutputStored(epoch=1, output=output()), RunDeleted())
    assert not any(folded(RUN_STATUS, *((ID, event) for event in story)).values())


def test_a_run_tells_its_source_and_its_place_in_a_batch() -> None:
    assert run_row(submitted(ANN)).source is None
    batch = InBatch(BatchId(uuid4()), 3)
    other = RunSubmitted(owner=ANN, graph=GRAPH, source=ParametersSource(GRAPH), seed=2**64 - 1, batch=batch)
    row = run_row(other)
    assert row.source == SourceRow("parameters", 2**64 - 1, GRAPH.digest)
    assert (row.batch, row.place, row.workflow) == (batch.id, 3, None)
    version = Content(Digest("7" * 64), 9)
    of_template = RunSubmitted(owner=ANN, graph=GRAPH, source=TemplateSource("card", version, GRAPH), seed=1)
    assert run_row(of_template).source == SourceRow("template", 1, GRAPH.digest, "card", version.digest)


def test_a_batch_is_cancelled_once_its_runs_are() -> None:
    told = BatchSubmitted(owner=ANN, runs=(RunId(ID),), plan=GRAPH, varied=("cfg",))
    (row,) = folded(RUN_STATUS, (ID, told), (ID, BatchCancelled(by=ANN)))["batches"]
    assert (row.runs, row.varied, row.plan) == (1, ("cfg",), GRAPH.digest)
    assert row.cancelled_at > row.submitted_at


def test_usage_counts_runs_and_the_seconds_they_kept_machines_busy() -> None:
    other, third = uuid4(), uuid4()
    lost_after = RunAttemptLost(epoch=1, failure=lost, execution_s=2.0)
    buffer = empty(USAGE, whole=True)
    story: list[tuple[UUID, Event]] = [
        (ID, submitted(ANN)),
        (ID, started),
        (ID, lost_after),
        (ID, RunRequeued(not_before=NOON)),
        (ID, RunStarted(epoch=2, backend="gpu-1")),
        (ID, RunSucceeded(epoch=2, execution_s=1.5, outputs=0)),
        (other, submitted(ANN)),
        (other, started),
        (third, submitted(ANN)),
        (third, RunCancelled(by=ANN)),
        (other, RunCancelled(by=ANN)),  # three positions, and seconds, after it was started
    ]
    for position, (stream, event) in enumerate(story, 1):
        USAGE.fold(recorded(position, stream, event, owner=ANN), buffer)
    (day,) = buffer["usage_days"].everything()
    assert day == DayRow(ANN, "2026-11-21", submitted=3, succeeded=1, cancelled=2, run_seconds=6.5)
    (machine,) = buffer["usage_machines"].everything()
    assert (machine.backend, machine.run_seconds) == ("gpu-1", 6.5)
    assert buffer["usage_running"].everything() == []


def test_usage_knows_what_outputs_take_and_what_has_gone() -> None:
    other = uuid4()
    buffer = empty(USAGE, whole=True)
    story: list[tuple[UUID, Event]] = [
        (ID, submitted(ANN)),
        (ID, OutputStored(epoch=1, output=output())),
        (ID, RunAttemptLost(epoch=1, failure=lost)),
        (ID, OutputStored(epoch=2, output=output())),
        (ID, OutputStored(epoch=2, output=output("9", 1))),
        (ID, RunSucceeded(epoch=2, execution_s=0.0, outputs=2)),
        (ID, OutputDeleted(node="9", index=1, size_bytes=1234)),
        (other, submitted(ANN)),
        (other, OutputStored(epoch=1, output=output())),
        (other, RunCancelled(by=ANN)),
        (other, RunDeleted(outputs=1)),
    ]
    for position, (stream, event) in enumerate(story, 1):
        USAGE.fold(recorded(position, stream, event, owner=ANN), buffer)
    (day,) = buffer["usage_days"].everything()
    assert (day.stored_bytes, day.removed_bytes) == (4 * 1234, 3 * 1234)
    assert [(row.id, row.size_bytes) for row in buffer["usage_stored"].everything()] == [(ID, 1234)]
