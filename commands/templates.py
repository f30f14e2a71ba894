"""Templates of accounts: each wish of their owner, one handler."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from commands.needs import Command, Needs
from commands.ports import ObjectTooLarge
from commands.streams import Accepted, Change, Context
from domain import template, workflow
from domain.ids import AccountId, Position, TemplateId, WorkflowId
from domain.template import TEMPLATE, FormSummary, Template, TemplateEvent, TemplateVersionSaved
from domain.workflow import WORKFLOW, Content
from workflows.form_faults import check
from workflows.forms import Form
from workflows.forms import Template as Document
from workflows.registry import written

MAX_FORM_BYTES = 256 * 1024


class CreateTemplate(Command, frozen=True, kw_only=True):
    """Of a version of a workflow of one's own; None: the newest."""

    owner: AccountId
    workflow: WorkflowId
    version: int | None = None
    form: Form
    public: bool = False


class SaveTemplateVersion(Command, frozen=True, kw_only=True):
    """`expected`: the revision it is meant for, None for any; so in the wishes below."""

    by: AccountId
    template: TemplateId
    workflow: WorkflowId
    version: int | None = None
    form: Form
    expected: int | None = None


class ShowTemplate(Command, frozen=True, kw_only=True):
    """To everybody, or to nobody else any more."""

    by: AccountId
    template: TemplateId
    public: bool
    expected: int | None = None


class DeleteTemplate(Command, frozen=True, kw_only=True):
    by: AccountId
    template: TemplateId
    expected: int | None = None


class SavedTemplate(Struct, frozen=True):
    """`version`: the number of the newest one."""

    id: TemplateId
    version: int
    position: Position


async def create_template(command: CreateTemplate, context: Context, needs: Needs) -> SavedTemplate:
    """Raises NotFound, Invalid, ObjectTooLarge, KeyReused."""
    if (known := await needs.streams.answered(context)) is not None:
        return await _saved(known, needs)  # the workflow may be another since
    id = TemplateId(needs.new_id())
    save = await _version(command.owner, command.workflow, command.version, command.form, needs)

    def decide(state: Template) -> list[TemplateEvent]:
        events = template.create(state, owner=command.owner)
        created = TEMPLATE.fold(state, events)
        events += save(created)
        if command.public:
            events += template.publish(created, by=command.owner)
        return events

    accepted = await needs.streams.transact(context, Change(TEMPLATE, id, decide, new=True))
    return await _saved(accepted, needs)


async def save_template_version(
    command: SaveTemplateVersion, context: Context, needs: Needs
) -> SavedTemplate:
    """Raises NotFound, Invalid, ObjectTooLarge, Outdated, KeyReused."""
    if (known := await needs.streams.answered(context)) is not None:
        return await _saved(known, needs)
    state, _ = await needs.streams.load(TEMPLATE, command.template)
    template.owned(state, by=command.by)
    save = await _version(command.by, command.workflow, command.version, command.form, needs)
    change = Change(TEMPLATE, command.template, save, expected=command.expected)
    accepted = await needs.streams.transact(context, change)
    if accepted.position:
        return await _saved(accepted, needs)
    return SavedTemplate(command.template, len(state.versions), accepted.position)


async def show_template(command: ShowTemplate, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated, KeyReused."""

    def decide(state: Template) -> list[TemplateEvent]:
        if command.public:
            return template.publish(state, by=command.by)
        return template.withdraw(state, by=command.by)

    change = Change(TEMPLATE, command.template, decide, expected=command.expected)
    return await needs.streams.transact(context, change)


async def delete_template(command: DeleteTemplate, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated."""
    change = Change(
        TEMPLATE,
        command.template,
        lambda state: template.delete(state, by=command.by),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def _saved(accepted: Accepted, needs: Needs) -> SavedTemplate:
    """As its first event tells: a template begins with its first version, and is given one at a time afterwards."""
    recorded = await needs.streams.log.at(accepted.first)
    assert recorded is not None
    event = recorded.event
    number = event.number if isinstance(event, TemplateVersionSaved) else 1
    return SavedTemplate(TemplateId(recorded.stream), number, accepted.position)


async def _version(
    by: AccountId, id: WorkflowId, number: int | None, form: Form, needs: Needs
) -> Callable[[Template], list[TemplateEvent]]:
    """Check a form against the graph it is for, store both as one document, and return the decision to save them."""
    state, _ = await needs.streams.load(WORKFLOW, id)
    workflow.owned(state, by=by)
    number, version = workflow.runnable(state, by=by, number=number)
    if len(msgspec.json.encode(form)) > MAX_FORM_BYTES:
        raise ObjectTooLarge(f"The form has more than {MAX_FORM_BYTES} bytes.")
    made = Document(form, await _graph(workflow.executed(number, version), needs))
    check(made)
    body = written(made)
    document = Content(await needs.contents.put(body), len(body))
    about = FormSummary(
        name=form.name,
        description=form.description,
        category=form.category,
        model_family=form.model_family,
        max_batch_size=form.max_batch_size,
        requires_image=form.requires_image,
        requires_mask=form.requires_mask,
    )
    return lambda state: template.save_version(
        state, by=by, document=document, about=about, workflow=id, workflow_version=number
    )


async def _graph(content: Content, needs: Needs) -> dict[str, Any]:
    body = await needs.contents.get(content.digest)
    if body is None:
        raise LookupError(f"The graph {content.digest} is not among the contents.")
    graph: dict[str, Any] = msgspec.json.decode(body)
    return graph
