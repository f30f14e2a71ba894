"""What outsiders are told: a public event for each domain event that concerns them, never the domain event itself."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from domain import account, lora, notice, run, shared_output, template, workflow
from domain.event import AnyRecorded, Event
from domain.ids import StreamId
from domain.public_events import (
    AccountErased,
    LoraChanged,
    LoraDeleted,
    LoraUploaded,
    NoticeGiven,
    OutputPublished,
    OutputWithdrawn,
    PublicEvent,
    RunCancelled,
    RunFailed,
    RunOutputStored,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
    TemplateDeleted,
    TemplatePublished,
    TemplateVersionSaved,
    TemplateWithdrawn,
    WorkflowChanged,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowEnvironmentRemoved,
    WorkflowEnvironmentSet,
    WorkflowForked,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowTrashed,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)

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


def public(recorded: AnyRecorded) -> PublicEvent | None:
    """What outsiders are told of an event; None when it does not concern them."""
    translation = PUBLIC.get(type(recorded.event))
    return None if translation is None else translation(recorded.event, recorded.stream)
