"""Finding a run of one's own by the name that a client of ComfyUI calls it by."""

from contextlib import suppress
from uuid import UUID

from adapters.http.gateway.call import Call
from adapters.http.gateway.presenting import Names
from domain.ids import RunId, prompt_run
from domain.refusals import NotFound
from projections import output_names, prompts
from projections.prompts import PromptRow

UNKNOWN = "There is no such prompt."


async def run_called(name: str, call: Call) -> PromptRow:
    """Raises NotFound."""
    runs = [prompt_run(call.caller.account, name)]
    with suppress(ValueError):
        runs.append(RunId(UUID(name)))  # of a run that came another way
    rows: list[PromptRow] = await (await call.reader()).ask(prompts.of_runs, call.caller.account, runs)
    row = next((row for row in rows if row.prompt == name), None)
    if row is None:
        raise NotFound(UNKNOWN)
    return row


async def names_of(rows: list[PromptRow], call: Call) -> dict[RunId, Names]:
    """The names of their files."""
    runs = [RunId(row.run) for row in rows if row.outputs]
    if not runs:
        return {}
    found: dict[RunId, Names] = await (await call.reader()).ask(output_names.of_runs, runs)
    return found
