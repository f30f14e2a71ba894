"""Accounts, documents and events that the domain's tests speak of."""

from datetime import UTC, datetime
from uuid import UUID

from domain.ids import AccountId, Digest, SessionId, WorkflowId
from domain.outcome import Failure, FailureKind, FileType, Image, Output
from domain.run import (
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunFailed,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
)
from domain.workflow import Content, Requirements, WorkflowCreated, WorkflowVersionSaved

ANN, BOB = AccountId(UUID(int=0xA11)), AccountId(UUID(int=0xB0B))
SESSION, OTHER_SESSION = SessionId(UUID(int=1)), SessionId(UUID(int=2))
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WORKFLOW_ID = WorkflowId(UUID(int=0xF10))


def content(letter: str = "a", size_bytes: int = 400) -> Content:
    return Content(Digest(letter * 64), size_bytes)


created = WorkflowCreated(owner=ANN, name="Portrait", tags=("face",))
first_version = WorkflowVersionSaved(number=1, graph=content("a"), requirements=Requirements(("KSampler",)))
second_version = WorkflowVersionSaved(number=2, graph=content("b"), note="sharper")

submitted = RunSubmitted(owner=ANN, workflow=WORKFLOW_ID, workflow_version=1, graph=content())
claimed = RunClaimed(epoch=1, backend="gpu-1", executor="east")
claimed_again = RunClaimed(epoch=2, backend="gpu-2", executor="west")
started = RunStarted(epoch=1, backend="gpu-1")
started_again = RunStarted(epoch=2, backend="gpu-2")
output = Output(
    "9",
    0,
    "a.png",
    Digest("c" * 64),
    1234,
    "image/png",
    512,
    512,
    (Image(Digest("d" * 64), 90, "image/webp", 64, 64),),
    "faces",
    FileType.TEMP,
)
output_stored = OutputStored(epoch=1, output=output)
succeeded = RunSucceeded(epoch=1, execution_s=1.5, outputs=1, backend="gpu-1")
lost_connection = Failure(FailureKind.TRANSPORT, "The backend did not answer.")
no_memory = Failure(FailureKind.OUT_OF_MEMORY, "The GPU ran out of memory.", node="3", node_class="KSampler")
bad_node = Failure(
    FailureKind.NODE, "The sampler failed.", node="3", node_class="KSampler", advice="Try fewer steps."
)
attempt_lost = RunAttemptLost(epoch=1, failure=lost_connection, backend="gpu-1")
requeued = RunRequeued(not_before=NOON)
failed = RunFailed(failure=bad_node, backend="gpu-1")
cancelled = RunCancelled(by=ANN)
