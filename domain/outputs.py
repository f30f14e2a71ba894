"""What becomes of the files of a run that is over: starred to be found again, or deleted, one by one.

They are decided in their run's stream: an output is nothing without its run.
"""

from domain import run
from domain.ids import AccountId
from domain.refusals import Conflict, NotFound
from domain.run import OVER, OutputDeleted, OutputStarred, OutputUnstarred, Run, RunEvent

NO_OUTPUT = "There is no such output."
NOT_OVER = "Its run is not over yet."


def star(state: Run, *, by: AccountId, node: str, index: int) -> list[RunEvent]:
    """Mark an output, to find it again. Asking twice is not an error."""
    _size_bytes(state, by, node, index)
    return [] if (node, index) in state.starred else [OutputStarred(node=node, index=index)]


def unstar(state: Run, *, by: AccountId, node: str, index: int) -> list[RunEvent]:
    """Take the mark away."""
    _size_bytes(state, by, node, index)
    return [OutputUnstarred(node=node, index=index)] if (node, index) in state.starred else []


def delete(state: Run, *, by: AccountId, node: str, index: int) -> list[RunEvent]:
    """Its owner wants it no more. Asking twice is not an error."""
    run.owned(state, by=by)
    if (node, index) in state.removed:
        return []
    return [OutputDeleted(node=node, index=index, size_bytes=_size_bytes(state, by, node, index))]


def expire(
    state: Run, *, owner: AccountId, node: str, index: int, spare_starred: bool, reason: str
) -> list[RunEvent]:
    """It falls under its owner's rule. What was deleted, or starred, meanwhile stays as it is."""
    spared = spare_starred and (node, index) in state.starred
    size_bytes = next((each[2] for each in state.outputs if each[:2] == (node, index)), None)
    if state.owner != owner or state.status not in OVER or spared or size_bytes is None:
        return []
    return [OutputDeleted(node=node, index=index, size_bytes=size_bytes, reason=reason)]


def _size_bytes(state: Run, by: AccountId, node: str, index: int) -> int:
    """Raises NotFound, Conflict: what an attempt has made that is not over may come to nothing."""
    run.owned(state, by=by)
    found = next((each[2] for each in state.outputs if each[:2] == (node, index)), None)
    if found is None:
        raise NotFound(NO_OUTPUT)
    if state.status not in OVER:
        raise Conflict(NOT_OVER)
    return found
