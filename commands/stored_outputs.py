"""One output of a run, as its events tell of it."""

from commands.needs import Needs
from domain.ids import RunId
from domain.outcome import Output
from domain.refusals import NotFound
from domain.run import OutputDeleted, OutputStored, RunAttemptLost, RunDeleted, RunRevived

NO_OUTPUT = "The run has no such output."


async def stored_output(run: RunId, node: str, index: int, needs: Needs) -> Output:
    """What a lost attempt has stored does not count. Whose run it is is known by the caller. Raises NotFound."""
    found: Output | None = None
    for recorded in await needs.streams.log.read(run):
        match recorded.event:
            case OutputStored(output=output) if (output.node, output.index) == (node, index):
                found = output
            case OutputDeleted() as gone if (gone.node, gone.index) == (node, index):
                found = None
            case RunAttemptLost() | RunDeleted() | RunRevived():
                found = None
            case _:
                pass
    if found is None:
        raise NotFound(NO_OUTPUT)
    return found
