"""GET and POST /queue, GET /prompt, POST /interrupt: what waits and runs, of the one who asks and nobody else."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from adapters.http.gateway.call import DONE, Answer, Call, json, read
from adapters.http.gateway.documents import extra_of, graph_of, last_nodes
from adapters.http.gateway.finding import run_called
from adapters.http.gateway.presenting import item
from commands.runs import CancelRun
from domain.ids import RunId
from domain.refusals import Conflict, NotFound
from domain.run import RUN, Status
from projections import prompts
from projections.prompts import PromptRow


class QueueWish(Struct, frozen=True):
    delete: tuple[str | int, ...] = ()
    clear: bool = False


class InterruptWish(Struct, frozen=True):
    """Without an id it means what runs now."""

    prompt_id: str | int | UnsetType | None = UNSET


async def queue(call: Call) -> Answer:
    """One runs, as in one ComfyUI: clients rely on it. Others that the pool runs meanwhile are shown as waiting."""
    rows = await (await call.reader()).ask(prompts.waiting, call.caller.account)
    running, pending = split(rows)
    found = await call.shared.documents.of(rows)

    def shown(row: PromptRow) -> list[Any]:
        graph = graph_of(row, found)
        return item(row, graph, extra_of(row, found), last_nodes(graph))

    return json({"queue_running": list(map(shown, running)), "queue_pending": list(map(shown, pending))})


def split(rows: list[PromptRow]) -> tuple[list[PromptRow], list[PromptRow]]:
    """What is shown as running, and what as waiting."""
    running = [row for row in rows if row.status is Status.RUNNING]
    shown = running[:1]
    return shown, [row for row in rows if row not in shown]


async def length(call: Call) -> Answer:
    count = await (await call.reader()).ask(prompts.count_waiting, call.caller.account)
    return json({"exec_info": {"queue_remaining": count}})


async def change_queue(call: Call) -> Answer:
    """Takes out what waits. What is unknown, or runs already, is passed over in silence."""
    wish = await call.json(QueueWish)
    rows: list[PromptRow] = await (await call.reader()).ask(prompts.waiting, call.caller.account)
    named = set(map(str, wish.delete))
    _, pending = split(rows)
    for row in pending:
        if wish.clear or row.prompt in named:
            await cancel(RunId(row.run), call)
    return DONE


async def interrupt(call: Call) -> Answer:
    """Stops the named prompt if it runs, or whatever runs: of this account."""
    body = await call.body()
    wish = InterruptWish()
    if body.strip():
        wish = read(body, InterruptWish)
    rows: list[PromptRow] = await (await call.reader()).ask(prompts.waiting, call.caller.account)
    named = None if wish.prompt_id in (None, UNSET) else str(wish.prompt_id)
    for row in rows:
        if named in (None, row.prompt) and (row.status is Status.RUNNING or await _begins(row, named, call)):
            await cancel(RunId(row.run), call)
    return DONE


async def _begins(row: PromptRow, named: str | None, call: Call) -> bool:
    """Whether a machine has the one that is named: clients hear of its nodes before it is reported to have begun."""
    if named is None:
        return False
    state, _ = await call.parts.commands.needs.streams.load(RUN, RunId(row.run))
    return state.status is Status.CLAIMED


async def cancel(run: RunId, call: Call) -> bool:
    """Whether there was anything left to stop."""
    try:
        await call.parts.commands.run(CancelRun(by=call.caller.account, run=run), call.context())
    except (Conflict, NotFound):
        return False
    return True


async def cancel_job(call: Call) -> Answer:
    """POST /jobs/{id}/cancel."""
    row = await run_called(call.names["id"], call)
    cancelled = await cancel(RunId(row.run), call)
    return json({"cancelled": cancelled})


class JobsWish(Struct, frozen=True):
    job_ids: tuple[str, ...] = ()


async def cancel_jobs(call: Call) -> Answer:
    """POST /jobs/cancel."""
    wish = await call.json(JobsWish)
    cancelled = []
    for name in dict.fromkeys(wish.job_ids):
        try:
            row = await run_called(name, call)
        except NotFound:
            continue
        if await cancel(RunId(row.run), call):
            cancelled.append(name)
    return json({"cancelled": cancelled})
