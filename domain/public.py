"""What outsiders are told: a public event for each domain event that concerns them, never the domain event itself.

Public events are a contract: a field may be added, with a default; anything else is a new version, a new class.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from domain import account, lora, notice, run, shared_output, template, workflow
from domain.account import (
    AccountLoggedIn,
    AccountLoggedOut,
    AccountRegistered,
    AccountReinstated,
    AccountSuspended,
    EmailChanged,
    EmailConfirmed,
    IdentityLinked,
    IdentityUnlinked,
    PasswordChanged,
    RoleGiven,
    SecondFactorOff,
    SecondFactorOn,
    SessionRevoked,
    SessionsEnded,
)
from domain.announcement import AnnouncementEvent
from domain.api_key import ApiKeyMade, ApiKeyRevoked
from domain.backend import BackendEvent
from domain.batch import BatchEvent
from domain.collection import CollectionEvent
from domain.comment import CommentEvent
from domain.desk import DeskEvent
from domain.event import AnyRecorded, Event
from domain.follow import FollowEvent
from domain.gate import GateSet
from domain.handling import HandlingEvent
from domain.ids import StreamId
from domain.input import InputEvent
from domain.input_name import InputNamed
from domain.like import LikeEvent
from domain.limits import LimitsSet
from domain.model import ModelEvent
from domain.output_like import OutputLikeEvent
from domain.preset import PresetEvent
from domain.profile import ProfileEvent
from domain.projection import ProjectionEvent
from domain.queue import QueueEvent
from domain.report import ReportEvent
from domain.reservation import NameReleased, NameReserved
from domain.share import ShareEvent
from domain.webhook import WebhookEvent
from domain.words import WordsSet


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

EVERYBODYS: frozenset[type[Event]] = frozenset(
    {
        *(workflow.WorkflowPublished, workflow.WorkflowWithdrawn),
        *(workflow.WorkflowHidden, workflow.WorkflowShownAgain),
        *(template.TemplatePublished, template.TemplateWithdrawn),
        *(shared_output.OutputPublished, shared_output.OutputWithdrawn, shared_output.OutputHidden),
    }
)
"""The domain events that are translated into those."""

NO_WORKFLOW = UUID(int=0)
"""It was promised that there is one."""

Translation = Callable[[Any, StreamId], PublicEvent]

PUBLIC: dict[type[Event], Translation] = {
    run.RunSubmitted: lambda event, id: RunSubmitted(
        run=id,
        workflow=event.workflow or NO_WORKFLOW,
        workflow_version=event.workflow_version or 0,
        priority=event.priority,
        source=str(run.source_of(event).__struct_config__.tag),
    ),
    run.RunStarted: lambda event, id: RunStarted(run=id, attempt=event.epoch, backend=event.backend),
    run.OutputStored: lambda event, id: RunOutputStored(
        run=id,
        attempt=event.epoch,
        node=event.output.node,
        index=event.output.index,
        name=event.output.name,
        media_type=event.output.media_type,
        size_bytes=event.output.size_bytes,
        width=event.output.width,
        height=event.output.height,
        sha256=event.output.digest,
    ),
    run.RunSucceeded: lambda event, id: RunSucceeded(
        run=id, attempt=event.epoch, outputs=event.outputs, execution_s=event.execution_s
    ),
    run.RunRequeued: lambda event, id: RunRequeued(run=id, not_before=event.not_before),
    run.RunFailed: lambda event, id: RunFailed(
        run=id,
        kind=event.failure.kind,
        reason=event.failure.reason,
        node=event.failure.node,
        node_class=event.failure.node_class,
        advice=event.failure.advice,
    ),
    run.RunCancelled: lambda event, id: RunCancelled(run=id),
    run.RunRevived: lambda event, id: RunRequeued(run=id, not_before=event.not_before),
    workflow.WorkflowCreated: lambda event, id: WorkflowCreated(
        workflow=id, name=event.name, description=event.description, tags=event.tags
    ),
    workflow.WorkflowVersionSaved: lambda event, id: WorkflowVersionSaved(
        workflow=id,
        version=event.number,
        note=event.note,
        graph_sha256="" if event.graph is None else event.graph.digest,
        restored_from=event.restored_from,
    ),
    workflow.WorkflowRenamed: lambda event, id: WorkflowChanged(workflow=id, name=event.name),
    workflow.WorkflowDescribed: lambda event, id: WorkflowChanged(workflow=id, description=event.description),
    workflow.WorkflowTagged: lambda event, id: WorkflowChanged(workflow=id, tags=event.tags),
    workflow.WorkflowPublished: lambda event, id: WorkflowPublished(workflow=id),
    workflow.WorkflowWithdrawn: lambda event, id: WorkflowWithdrawn(workflow=id),
    workflow.WorkflowTrashed: lambda event, id: WorkflowTrashed(workflow=id),
    workflow.WorkflowRecovered: lambda event, id: WorkflowRecovered(workflow=id),
    workflow.WorkflowHidden: lambda event, id: WorkflowWithdrawn(workflow=id),
    workflow.WorkflowShownAgain: lambda event, id: (
        WorkflowPublished(workflow=id) if event.public else WorkflowWithdrawn(workflow=id)
    ),
    workflow.WorkflowDeleted: lambda event, id: WorkflowDeleted(workflow=id),
    workflow.WorkflowForked: lambda event, id: WorkflowForked(
        workflow=id, source=event.source, source_version=event.number
    ),
    workflow.EnvironmentSet: lambda event, id: WorkflowEnvironmentSet(
        workflow=id, environment=event.name, version=event.number
    ),
    workflow.EnvironmentRemoved: lambda event, id: WorkflowEnvironmentRemoved(
        workflow=id, environment=event.name
    ),
    shared_output.OutputPublished: lambda event, id: OutputPublished(
        output=id,
        name=event.name,
        description=event.description,
        tags=event.tags,
        sensitive=event.sensitive,
        media_type=event.output.media_type,
        width=event.output.width,
        height=event.output.height,
    ),
    shared_output.OutputWithdrawn: lambda event, id: OutputWithdrawn(output=id),
    shared_output.OutputHidden: lambda event, id: OutputWithdrawn(output=id),
    template.TemplateVersionSaved: lambda event, id: TemplateVersionSaved(
        template=id,
        version=event.number,
        name=event.about.name,
        category=event.about.category,
        model_family=event.about.model_family,
        sha256=event.document.digest,
    ),
    template.TemplatePublished: lambda event, id: TemplatePublished(template=id),
    template.TemplateWithdrawn: lambda event, id: TemplateWithdrawn(template=id),
    template.TemplateDeleted: lambda event, id: TemplateDeleted(template=id),
    lora.LoraUploaded: lambda event, id: LoraUploaded(
        lora=event.lora,
        name=event.name,
        description=event.description,
        size_bytes=event.content.size_bytes,
        sha256=event.content.digest,
        base_model=event.summary.base_model,
        trigger_words=event.summary.trigger_words,
    ),
    lora.LoraRenamed: lambda event, id: LoraChanged(lora=event.lora, name=event.name),
    lora.LoraDescribed: lambda event, id: LoraChanged(lora=event.lora, description=event.description),
    lora.LoraDeleted: lambda event, id: LoraDeleted(lora=event.lora),
    notice.NoticeGiven: lambda event, id: NoticeGiven(
        kind=event.kind,
        by=event.by,
        workflow=event.workflow,
        comment=event.comment,
        output=event.output,
        count=event.count,
        reason=event.reason,
    ),
    account.AccountErased: lambda event, id: AccountErased(account=id),
}

INTERNAL: frozenset[type[Event]] = frozenset(
    {
        *(AccountRegistered, AccountLoggedIn, AccountLoggedOut, SessionRevoked, RoleGiven),
        *(SecondFactorOn, SecondFactorOff, IdentityLinked, IdentityUnlinked),
        *(PasswordChanged, EmailChanged, EmailConfirmed, SessionsEnded, AccountSuspended, AccountReinstated),
        *(ApiKeyMade, ApiKeyRevoked),
        *(NameReserved, NameReleased),
        *(run.RunClaimed, run.RunAttemptLost, run.RunStopped, run.RunDeleted, run.RunDismissed),
        *(run.OutputStarred, run.OutputUnstarred, run.OutputDeleted),
        *get_args(BackendEvent),
        *get_args(BatchEvent),
        *get_args(InputEvent),
        InputNamed,
        *get_args(DeskEvent),
        *(lora.LoraShared, lora.LoraUnshared),
        *(workflow.WorkflowImported, workflow.WorkflowThumbnailSet, workflow.WorkflowThumbnailRemoved),
        template.TemplateCreated,
        *get_args(PresetEvent),
        *get_args(WebhookEvent),
        *get_args(ProjectionEvent),
        *get_args(QueueEvent),
        LimitsSet,
        GateSet,
        WordsSet,
        workflow.WorkflowMarked,
        *get_args(ModelEvent),
        *get_args(AnnouncementEvent),
        *get_args(LikeEvent),
        *get_args(CommentEvent),
        *get_args(FollowEvent),
        *get_args(ProfileEvent),
        *get_args(HandlingEvent),
        *get_args(ReportEvent),
        *get_args(CollectionEvent),
        *(shared_output.OutputShownAgain, shared_output.OutputMarked),
        *get_args(OutputLikeEvent),
        *get_args(ShareEvent),
        *(notice.NoticeRead, notice.NoticesRead, notice.NoticeMailSet),
    }
)
"""Nobody outside is told of these. A new domain event stands in PUBLIC or here."""


def public(recorded: AnyRecorded) -> PublicEvent | None:
    """What outsiders are told of an event; None when it does not concern them."""
    translation = PUBLIC.get(type(recorded.event))
    return None if translation is None else translation(recorded.event, recorded.stream)
