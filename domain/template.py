"""A template of an account's: a version of a workflow with a form, kept as one document. A version is never changed."""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, WorkflowId
from domain.refusals import Conflict, NotFound
from domain.workflow import Content

NO_TEMPLATE = "There is no such template."


class FormSummary(Struct, frozen=True, kw_only=True):
    """What lists show of a version's form."""

    name: str
    description: str = ""
    category: str
    model_family: str
    max_batch_size: int = 1
    requires_image: bool = False
    requires_mask: bool = False


class TemplateCreated(Event, frozen=True, kw_only=True, tag="template.created.v1"):
    owner: AccountId


class TemplateVersionSaved(Event, frozen=True, kw_only=True, tag="template.version_saved.v1"):
    """`document`: form and graph. `workflow` and its version: where the graph is from."""

    number: int
    document: Content
    about: FormSummary
    workflow: WorkflowId
    workflow_version: int


class TemplatePublished(Event, frozen=True, kw_only=True, tag="template.published.v1"):
    """Everybody may use it."""


class TemplateWithdrawn(Event, frozen=True, kw_only=True, tag="template.withdrawn.v1"):
    """Only its owner may use it."""


class TemplateDeleted(Event, frozen=True, kw_only=True, tag="template.deleted.v1"):
    """Runs that were made from it stay as they are."""


TemplateEvent: TypeAlias = (
    TemplateCreated | TemplateVersionSaved | TemplatePublished | TemplateWithdrawn | TemplateDeleted
)


class Template(Struct, frozen=True):
    owner: AccountId | None = None
    public: bool = False
    deleted: bool = False
    versions: tuple[Content, ...] = ()


def evolve(template: Template, event: TemplateEvent) -> Template:
    match event:
        case TemplateCreated(owner=owner):
            return Template(owner=owner)
        case TemplateVersionSaved(document=document):
            return replace(template, versions=(*template.versions, document))
        case TemplatePublished():
            return replace(template, public=True)
        case TemplateWithdrawn():
            return replace(template, public=False)
        case TemplateDeleted():
            return replace(template, deleted=True, public=False)


TEMPLATE: Decider[Template, TemplateEvent] = Decider(
    "template", Template(), evolve, lambda template: template.owner
)


def create(template: Template, *, owner: AccountId) -> list[TemplateEvent]:
    """Begin a template. Its first version is saved in the same breath."""
    if template.owner is not None:
        raise Conflict("This template exists already.")
    return [TemplateCreated(owner=owner)]


def save_version(
    template: Template,
    *,
    by: AccountId,
    document: Content,
    about: FormSummary,
    workflow: WorkflowId,
    workflow_version: int,
) -> list[TemplateEvent]:
    """Add a version: whoever uses the template uses that one from now on. The newest one's very content adds none."""
    owned(template, by=by)
    if template.versions and template.versions[-1] == document:
        return []
    return [
        TemplateVersionSaved(
            number=len(template.versions) + 1,
            document=document,
            about=about,
            workflow=workflow,
            workflow_version=workflow_version,
        )
    ]


def publish(template: Template, *, by: AccountId) -> list[TemplateEvent]:
    """Let everybody use it."""
    owned(template, by=by)
    return [] if template.public else [TemplatePublished()]


def withdraw(template: Template, *, by: AccountId) -> list[TemplateEvent]:
    """Let nobody else use it any more."""
    owned(template, by=by)
    return [TemplateWithdrawn()] if template.public else []


def delete(template: Template, *, by: AccountId) -> list[TemplateEvent]:
    """Its owner wants it no more. Asking twice is not an error."""
    if template.deleted and template.owner == by:
        return []
    return [*withdraw(template, by=by), TemplateDeleted()]


def usable(template: Template, *, by: AccountId) -> tuple[int, Content]:
    """The newest version, of one's own or a public one."""
    if template.owner is None or template.deleted or (template.owner != by and not template.public):
        raise NotFound(NO_TEMPLATE)
    return len(template.versions), template.versions[-1]


def owned(template: Template, *, by: AccountId) -> None:
    """Raises NotFound: a stranger must not learn which ids exist."""
    if template.owner != by or template.deleted:
        raise NotFound(NO_TEMPLATE)
