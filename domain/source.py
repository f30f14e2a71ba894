"""What a run executes: a version of a workflow, typed parameters, a template with values, or a graph of its own."""

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


Source: TypeAlias = WorkflowSource | ParametersSource | TemplateSource | GraphSource
