"""The public events: what outsiders may build on.

They are a contract: a field may be added, with a default; anything else is a new version, a new class.
"""

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class PublicEvent(Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """Something an integrator may build on. Its tag is the CloudEvents `type`."""


class RunSubmitted(PublicEvent, frozen=True, kw_only=True, tag="run.submitted.v1"):
    """A run waits for a machine. `source`: workflow, parameters, template or graph.

    Where it is no workflow, `workflow` is 00000000-0000-0000-0000-000000000000 and `workflow_version` 0.
    """

    run: UUID
    workflow: UUID
    workflow_version: int
    priority: int
    source: str = "workflow"


class RunStarted(PublicEvent, frozen=True, kw_only=True, tag="run.started.v1"):
    """A machine has begun with it. May be told again when an attempt was lost."""

    run: UUID
    attempt: int
    backend: str


class RunOutputStored(PublicEvent, frozen=True, kw_only=True, tag="run.output_stored.v1"):
    """A file of a run is there. It counts when the run has succeeded. `width` and `height` are 0 for no picture."""

    run: UUID
    attempt: int
    node: str
    index: int
    name: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    sha256: str


class RunSucceeded(PublicEvent, frozen=True, kw_only=True, tag="run.succeeded.v1"):
    run: UUID
    attempt: int
    outputs: int
    execution_s: float


class RunRequeued(PublicEvent, frozen=True, kw_only=True, tag="run.requeued.v1"):
    """An attempt was lost, or an administrator has put the run back after it had failed; it waits again."""

    run: UUID
    not_before: datetime


class RunFailed(PublicEvent, frozen=True, kw_only=True, tag="run.failed.v1"):
    """`kind`: node, validation, timeout, out_of_memory, transport, lost, output. `node`: its id in the graph."""

    run: UUID
    kind: str
    reason: str
    node: str | None = None
    node_class: str | None = None
    advice: str = ""


class RunCancelled(PublicEvent, frozen=True, kw_only=True, tag="run.cancelled.v1"):
    run: UUID


class WorkflowCreated(PublicEvent, frozen=True, kw_only=True, tag="workflow.created.v1"):
    workflow: UUID
    name: str
    description: str
    tags: tuple[str, ...]


class WorkflowVersionSaved(PublicEvent, frozen=True, kw_only=True, tag="workflow.version_saved.v1"):
    """`graph_sha256` tells whether two versions are the same graph; empty: only the editor's graph is known.

    `restored_from`: the version it repeats.
    """

    workflow: UUID
    version: int
    note: str
    graph_sha256: str
    restored_from: int | None = None


class WorkflowForked(PublicEvent, frozen=True, kw_only=True, tag="workflow.forked.v1"):
    """It began as a version of another workflow, `source`."""

    workflow: UUID
    source: UUID
    source_version: int


class WorkflowEnvironmentSet(PublicEvent, frozen=True, kw_only=True, tag="workflow.environment_set.v1"):
    """The name stands for this version from now on."""

    workflow: UUID
    environment: str
    version: int


class WorkflowEnvironmentRemoved(
    PublicEvent, frozen=True, kw_only=True, tag="workflow.environment_removed.v1"
):
    workflow: UUID
    environment: str


class WorkflowChanged(PublicEvent, frozen=True, kw_only=True, omit_defaults=True, tag="workflow.changed.v1"):
    """Only what has changed is there."""

    workflow: UUID
    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None


class WorkflowPublished(PublicEvent, frozen=True, kw_only=True, tag="workflow.published.v1"):
    """Everybody may see it now."""

    workflow: UUID


class WorkflowWithdrawn(PublicEvent, frozen=True, kw_only=True, tag="workflow.withdrawn.v1"):
    """Only its owner sees it now."""

    workflow: UUID


class WorkflowTrashed(PublicEvent, frozen=True, kw_only=True, tag="workflow.trashed.v1"):
    """Its owner has put it into the trash; it may come back."""

    workflow: UUID


class WorkflowRecovered(PublicEvent, frozen=True, kw_only=True, tag="workflow.recovered.v1"):
    """It is out of the trash again."""

    workflow: UUID


class WorkflowDeleted(PublicEvent, frozen=True, kw_only=True, tag="workflow.deleted.v1"):
    """For good."""

    workflow: UUID


class OutputPublished(PublicEvent, frozen=True, kw_only=True, tag="output.published.v1"):
    """Everybody may see it now. Told again when what is said of it changes."""

    output: UUID
    name: str
    description: str
    tags: tuple[str, ...]
    sensitive: bool
    media_type: str
    width: int
    height: int


class OutputWithdrawn(PublicEvent, frozen=True, kw_only=True, tag="output.withdrawn.v1"):
    """Nobody else sees it now."""

    output: UUID


class TemplateVersionSaved(PublicEvent, frozen=True, kw_only=True, tag="template.version_saved.v1"):
    """A workflow has a form, or another one. `sha256`: of form and graph."""

    template: UUID
    version: int
    name: str
    category: str
    model_family: str
    sha256: str


class TemplatePublished(PublicEvent, frozen=True, kw_only=True, tag="template.published.v1"):
    """Everybody may use it now."""

    template: UUID


class TemplateWithdrawn(PublicEvent, frozen=True, kw_only=True, tag="template.withdrawn.v1"):
    """Only its owner may use it now."""

    template: UUID


class TemplateDeleted(PublicEvent, frozen=True, kw_only=True, tag="template.deleted.v1"):
    template: UUID


class LoraUploaded(PublicEvent, frozen=True, kw_only=True, tag="lora.uploaded.v1"):
    """A LoRA is on the shelf. `base_model`: a family such as sdxl, empty where nothing tells it."""

    lora: UUID
    name: str
    description: str
    size_bytes: int
    sha256: str
    base_model: str
    trigger_words: tuple[str, ...]


class LoraChanged(PublicEvent, frozen=True, kw_only=True, omit_defaults=True, tag="lora.changed.v1"):
    """Only what has changed is there."""

    lora: UUID
    name: str | None = None
    description: str | None = None


class LoraDeleted(PublicEvent, frozen=True, kw_only=True, tag="lora.deleted.v1"):
    lora: UUID


class NoticeGiven(PublicEvent, frozen=True, kw_only=True, tag="notice.given.v1"):
    """Something happened that an account hears of in its notifications.

    `kind`: followed, commented, answered, mentioned, liked, hidden, restored, marked. `by`: who did it, where that is
    told. `count`: of likes, how many at about the same time. `reason`: of a moderator.
    """

    kind: str
    by: UUID | None
    workflow: UUID | None
    comment: UUID | None
    output: UUID | None = None
    count: int
    reason: str


class AccountErased(PublicEvent, frozen=True, kw_only=True, tag="account.erased.v1"):
    """The account is gone for good. Whoever keeps a copy of what was its own must delete that, too."""

    account: UUID


FOR_EVERYBODY = (
    *(WorkflowPublished, WorkflowWithdrawn),
    *(TemplatePublished, TemplateWithdrawn),
    *(OutputPublished, OutputWithdrawn),
)
"""Told to everybody; the others to the owner, and to administrators."""
