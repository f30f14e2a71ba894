"""A workflow: a named, owned thing with an append-only list of versions. A version is never changed."""

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, Digest, WorkflowId
from domain.outcome import Image
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.workflow_texts import checked_description, checked_name, checked_note, checked_tags, checked_texts


class Requirements(Struct, frozen=True):
    """What a backend must have to run a graph: node classes, and model files as `folder/name` where known."""

    node_classes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class Content(Struct, frozen=True):
    """A document kept beside the log, by digest. `size_bytes` counts it uncompressed."""

    digest: Digest
    size_bytes: int


class WorkflowCreated(Event, frozen=True, kw_only=True, tag="workflow.created.v1"):
    owner: AccountId
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()


class WorkflowVersionSaved(Event, frozen=True, kw_only=True, tag="workflow.version_saved.v1"):
    """`graph`: None where none could be made of the editor's; `unconverted` says why, and it cannot be run.

    `restored_from`: the number of the version that was saved once more.
    """

    number: int
    graph: Content | None
    editor_graph: Content | None = None
    note: str = ""
    requirements: Requirements = Requirements()
    restored_from: int | None = None
    unconverted: str = ""


class WorkflowForked(Event, frozen=True, kw_only=True, tag="workflow.forked.v1"):
    """It began as a version of another one, perhaps somebody else's."""

    source: WorkflowId
    number: int


class WorkflowImported(Event, frozen=True, kw_only=True, tag="workflow.imported.v1"):
    """It came out of an archive of another workflow, perhaps of another place. `saved_at`: of its versions, there."""

    source: WorkflowId
    saved_at: tuple[datetime, ...] = ()


class WorkflowRenamed(Event, frozen=True, kw_only=True, tag="workflow.renamed.v1"):
    name: str


class WorkflowDescribed(Event, frozen=True, kw_only=True, tag="workflow.described.v1"):
    description: str


class WorkflowTagged(Event, frozen=True, kw_only=True, tag="workflow.tagged.v1"):
    """The complete new set of tags."""

    tags: tuple[str, ...]


class WorkflowPublished(Event, frozen=True, kw_only=True, tag="workflow.published.v1"):
    pass


class WorkflowWithdrawn(Event, frozen=True, kw_only=True, tag="workflow.withdrawn.v1"):
    pass


class WorkflowTrashed(Event, frozen=True, kw_only=True, tag="workflow.trashed.v1"):
    """Only its owner finds it now, in the trash. `published`: whether it was, just before."""

    published: bool = False


class WorkflowRecovered(Event, frozen=True, kw_only=True, tag="workflow.recovered.v1"):
    """It is out of the trash again."""


class WorkflowHidden(Event, frozen=True, kw_only=True, tag="workflow.hidden.v1"):
    """By somebody who keeps order: only its owner sees it, and why."""

    by: AccountId
    reason: str


class WorkflowShownAgain(Event, frozen=True, kw_only=True, tag="workflow.shown_again.v1"):
    """It is hidden no more. `public`: whether its owner shows it."""

    by: AccountId
    reason: str
    public: bool


class WorkflowMarked(Event, frozen=True, kw_only=True, tag="workflow.marked.v1"):
    """Not everybody wants to see it by chance; or they may. `judged`: a moderator says so, and why."""

    by: AccountId
    sensitive: bool
    judged: bool = False
    reason: str = ""


class WorkflowDeleted(Event, frozen=True, kw_only=True, tag="workflow.deleted.v1"):
    """For good."""


class WorkflowThumbnailSet(Event, frozen=True, kw_only=True, tag="workflow.thumbnail_set.v1"):
    """One picture in one or two sizes, the smaller first."""

    thumbnails: tuple[Image, ...]


class WorkflowThumbnailRemoved(Event, frozen=True, kw_only=True, tag="workflow.thumbnail_removed.v1"):
    """`digests`: of the pictures that it no longer needs."""

    digests: tuple[Digest, ...]


class EnvironmentSet(Event, frozen=True, kw_only=True, tag="workflow.environment_set.v1"):
    """`name` stands for version `number` from now on."""

    name: str
    number: int


class EnvironmentRemoved(Event, frozen=True, kw_only=True, tag="workflow.environment_removed.v1"):
    name: str


WorkflowEvent: TypeAlias = (
    WorkflowCreated
    | WorkflowForked
    | WorkflowImported
    | EnvironmentSet
    | EnvironmentRemoved
    | WorkflowVersionSaved
    | WorkflowRenamed
    | WorkflowDescribed
    | WorkflowTagged
    | WorkflowPublished
    | WorkflowWithdrawn
    | WorkflowTrashed
    | WorkflowRecovered
    | WorkflowHidden
    | WorkflowShownAgain
    | WorkflowMarked
    | WorkflowDeleted
    | WorkflowThumbnailSet
    | WorkflowThumbnailRemoved
)


class SavedVersion(Struct, frozen=True):
    graph: Content | None
    editor_graph: Content | None
    requirements: Requirements
    unconverted: str = ""


class Workflow(Struct, frozen=True):
    """`public`: its owner wants it shown. `hidden`: others do not want that. `judged`: who says it is sensitive.

    `published_before`: whether it was, when it was put into the trash.
    """

    owner: AccountId | None = None
    name: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    public: bool = False
    trashed: bool = False
    published_before: bool = False
    hidden: bool = False
    sensitive: bool = False
    judged: bool = False
    deleted: bool = False
    thumbnails: tuple[Image, ...] = ()
    versions: tuple[SavedVersion, ...] = ()
    environments: dict[str, int] = {}


def evolve(workflow: Workflow, event: WorkflowEvent) -> Workflow:
    match event:
        case WorkflowCreated(owner=owner, name=name, description=description, tags=tags):
            return Workflow(owner=owner, name=name, description=description, tags=tags)
        case WorkflowVersionSaved(graph=graph, editor_graph=editor_graph) as event:
            saved = SavedVersion(graph, editor_graph, event.requirements, event.unconverted)
            return replace(workflow, versions=(*workflow.versions, saved))
        case WorkflowForked() | WorkflowImported():
            return workflow
        case EnvironmentSet(name=name, number=number):
            return replace(workflow, environments=workflow.environments | {name: number})
        case EnvironmentRemoved(name=name):
            left = {other: number for other, number in workflow.environments.items() if other != name}
            return replace(workflow, environments=left)
        case WorkflowRenamed(name=name):
            return replace(workflow, name=name)
        case WorkflowDescribed(description=description):
            return replace(workflow, description=description)
        case WorkflowTagged(tags=tags):
            return replace(workflow, tags=tags)
        case WorkflowPublished():
            return replace(workflow, public=True)
        case WorkflowWithdrawn():
            return replace(workflow, public=False)
        case WorkflowTrashed(published=published):
            return replace(workflow, trashed=True, published_before=published, public=False)
        case WorkflowRecovered():
            # what was published and is hidden is so again as soon as it is hidden no more
            wanted = workflow.published_before and workflow.hidden
            return replace(workflow, trashed=False, published_before=False, public=wanted)
        case WorkflowHidden():
            return replace(workflow, hidden=True)
        case WorkflowShownAgain():
            return replace(workflow, hidden=False)
        case WorkflowMarked(sensitive=sensitive, judged=judged):
            return replace(workflow, sensitive=sensitive, judged=judged)
        case WorkflowDeleted():
            return replace(workflow, deleted=True, public=False)
        case WorkflowThumbnailSet(thumbnails=thumbnails):
            return replace(workflow, thumbnails=thumbnails)
        case WorkflowThumbnailRemoved():
            return replace(workflow, thumbnails=())


WORKFLOW: Decider[Workflow, WorkflowEvent] = Decider(
    "workflow", Workflow(), evolve, lambda workflow: workflow.owner, shape=5
)


def create(
    workflow: Workflow, *, owner: AccountId, name: str, description: str = "", tags: tuple[str, ...] = ()
) -> list[WorkflowEvent]:
    """Begin a workflow. Its first version is saved in the same breath."""
    if workflow.owner is not None:
        raise Conflict("This workflow exists already.")
    name, description, tags = checked_texts(name, description, tags)
    return [WorkflowCreated(owner=owner, name=name, description=description, tags=tags)]


def save_version(
    workflow: Workflow,
    *,
    by: AccountId,
    graph: Content | None,
    editor_graph: Content | None = None,
    note: str = "",
    requirements: Requirements = Requirements(),
    unconverted: str = "",
) -> list[WorkflowEvent]:
    """Add a version. Saving the newest version's very content again adds nothing."""
    owned(workflow, by=by)
    checked_note(note)
    version = SavedVersion(graph, editor_graph, requirements, unconverted)
    if workflow.versions and workflow.versions[-1] == version:
        return []
    if graph is None and (editor_graph is None or not unconverted):
        raise Invalid("The version has no graph.", FieldError("graph", "It is missing."))
    return [
        WorkflowVersionSaved(
            number=len(workflow.versions) + 1,
            graph=graph,
            editor_graph=editor_graph,
            note=note,
            requirements=requirements,
            unconverted=unconverted,
        )
    ]


def rename(workflow: Workflow, *, by: AccountId, name: str) -> list[WorkflowEvent]:
    """Give it another name."""
    owned(workflow, by=by)
    new = checked_name(name)
    return [] if new == workflow.name else [WorkflowRenamed(name=new)]


def describe(workflow: Workflow, *, by: AccountId, description: str) -> list[WorkflowEvent]:
    """Say what it is for."""
    owned(workflow, by=by)
    new = checked_description(description)
    return [] if new == workflow.description else [WorkflowDescribed(description=new)]


def tag(workflow: Workflow, *, by: AccountId, tags: tuple[str, ...]) -> list[WorkflowEvent]:
    """Replace its tags."""
    owned(workflow, by=by)
    new = checked_tags(tags)
    return [] if new == workflow.tags else [WorkflowTagged(tags=new)]


def publish(workflow: Workflow, *, by: AccountId) -> list[WorkflowEvent]:
    """Show it to everybody; everybody may run it."""
    owned(workflow, by=by)
    if workflow.hidden:
        raise Conflict("A moderator has hidden it: it cannot be published.")
    return [] if workflow.public else [WorkflowPublished()]


def withdraw(workflow: Workflow, *, by: AccountId) -> list[WorkflowEvent]:
    """Show it to nobody else any more."""
    owned(workflow, by=by)
    return [WorkflowWithdrawn()] if workflow.public else []


def runnable(workflow: Workflow, *, by: AccountId, number: int | None) -> tuple[int, SavedVersion]:
    """The version somebody may run: any of their own, any of a published workflow. None = the newest."""
    visible(workflow, by=by)
    wanted = len(workflow.versions) if number is None else number
    if not 1 <= wanted <= len(workflow.versions):
        raise NotFound("The workflow has no such version.")
    return wanted, workflow.versions[wanted - 1]


def executed(number: int, version: SavedVersion) -> Content:
    """What a run of this version executes. Raises Conflict where there is nothing."""
    if version.graph is None:
        raise Conflict(f"Version {number} cannot be run: {version.unconverted}")
    return version.graph


def visible(workflow: Workflow, *, by: AccountId | None) -> None:
    """Whether somebody may look at it: its owner, and everybody while it is published and not hidden."""
    away = workflow.owner is None or workflow.deleted or workflow.trashed
    shown = workflow.public and not workflow.hidden
    if away or (workflow.owner != by and not shown):
        raise NotFound("There is no such workflow.")


def visible_then(then: Workflow, now: Workflow, *, by: AccountId | None) -> bool:
    """Whether somebody may look back at what it was: its owner always, others where it is public and was so then."""
    if then.owner is None or then.deleted or then.trashed or not then.versions:
        return False
    return then.owner == by or (then.public and now.public and not now.hidden)


def owned(workflow: Workflow, *, by: AccountId) -> None:
    """Whether it is theirs to change. To a stranger, in the trash and after its deletion, it does not exist."""
    if workflow.owner != by or workflow.deleted or workflow.trashed:
        raise NotFound("There is no such workflow.")
