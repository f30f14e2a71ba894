"""What a run executes: a version of a workflow, typed parameters, a template with values, a graph of its own, or a
prompt of a ComfyUI client."""

from typing import TypeAlias

from msgspec import Struct

from domain.ids import WorkflowId
from domain.workflow import Content


class WorkflowSource(Struct, frozen=True, tag_field="kind", tag="workflow"):
    workflow: WorkflowId
    version: int


class ParametersSource(Struct, frozen=True, tag_field="kind", tag="parameters"):
    """`values`: the parameters as a document beside the log, with the seed that was drawn."""

    values: Content


class TemplateSource(Struct, frozen=True, tag_field="kind", tag="template"):
    """`template`: its id, a word for one that comes with the program. `version`: form and graph as one document.

    `values`: of every parameter, as a document beside the log, with the seed that was drawn.
    """

    template: str
    version: Content
    values: Content


class GraphSource(Struct, frozen=True, tag_field="kind", tag="graph"):
    """Nobody keeps it but the run itself."""


class PromptSource(Struct, frozen=True, kw_only=True, tag_field="kind", tag="prompt"):
    """A graph that a ComfyUI client sent: a prompt, which it calls by `id`; `client`: who of its clients hears of it.

    `sent`: the graph as it was sent. `number`: its place in the queue, as the client wished; None: behind the others.
    `extra`: what else it sent, to be kept in the files of its pictures.
    """

    id: str
    client: str
    sent: Content
    number: float | None = None
    extra: Content | None = None


Source: TypeAlias = WorkflowSource | ParametersSource | TemplateSource | GraphSource | PromptSource
