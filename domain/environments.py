"""Environments of a workflow: names such as `production` that point at a version, for callers who keep to the name."""

from domain.ids import AccountId
from domain.refusals import FieldError, Invalid, NotFound
from domain.workflow import (
    EnvironmentRemoved,
    EnvironmentSet,
    Workflow,
    WorkflowEvent,
    owned,
    runnable,
)

MAX_ENVIRONMENTS = 20
MAX_NAME = 40
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
NO_ENVIRONMENT = "The workflow has no such environment."


def point(workflow: Workflow, *, by: AccountId, name: str, number: int) -> list[WorkflowEvent]:
    """Let a name stand for a version from now on. Where it does already, nothing changes."""
    owned(workflow, by=by)
    if not 1 <= len(name) <= MAX_NAME or not set(name) <= LETTERS:
        raise Invalid(
            "An environment cannot be called so.",
            FieldError("name", f"1 to {MAX_NAME} small letters, digits, - and _."),
        )
    runnable(workflow, by=by, number=number)
    if workflow.environments.get(name) == number:
        return []
    if name not in workflow.environments and len(workflow.environments) >= MAX_ENVIRONMENTS:
        raise Invalid(
            "The workflow has too many environments.", FieldError("name", f"At most {MAX_ENVIRONMENTS}.")
        )
    return [EnvironmentSet(name=name, number=number)]


def remove(workflow: Workflow, *, by: AccountId, name: str) -> list[WorkflowEvent]:
    """Let a name stand for nothing any more. Asking twice is not an error."""
    owned(workflow, by=by)
    return [EnvironmentRemoved(name=name)] if name in workflow.environments else []


def pointed_at(workflow: Workflow, *, name: str) -> int:
    """The version that a name stands for."""
    number = workflow.environments.get(name)
    if number is None:
        raise NotFound(NO_ENVIRONMENT)
    return number
