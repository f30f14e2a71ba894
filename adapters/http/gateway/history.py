"""GET and POST /history, /history_v2, /jobs: what has run, with what it showed."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct

from adapters.http.gateway.call import DONE, Answer, Call, json
from adapters.http.gateway.documents import extra_of, graph_of, last_nodes
from adapters.http.gateway.finding import names_of, run_called
from adapters.http.gateway.presenting import Names, entry, job, outputs_of
from adapters.http.problems import Malformed
from commands.prompting import DismissRun
from domain.ids import RunId
from domain.refusals import NotFound
from domain.run import Status
from projections import prompts
from projections.prompts import MOST, PromptRow

PAGE = 200  # jobs at once, where nobody says how many
MOST_JOBS = 1_000
OVER = {"completed", "failed", "cancelled"}
WAITING = {"pending", "in_progress"}
STATES = {
    "pending": Status.QUEUED,
    "in_progress": Status.RUNNING,
    "completed": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}


class HistoryWish(Struct, frozen=True):
    delete: tuple[str | int, ...] = ()
    clear: bool = False


async def history(call: Call) -> Answer:
    """`max_items`: the newest; with `offset`: from the oldest. The oldest stands first."""
    most, offset = _count(call, "max_items", MOST), _count(call, "offset", -1)
    asked = {"offset": max(0, offset), "oldest_first": offset >= 0}
    rows: list[PromptRow] = await (await call.reader()).ask(prompts.over, call.caller.account, most, **asked)
    return json(await entries(rows if offset >= 0 else rows[::-1], call))


async def one(call: Call) -> Answer:
    """Empty for what is unknown, waits or runs."""
    try:
        row = await run_called(call.names["id"], call)
    except NotFound:
        return json({})
    return json(await entries([row] if _is_history(row) else [], call))


async def one_or_none(call: Call) -> Answer:
    """GET /history_v2/{id}: 404 until it is over."""
    row = await run_called(call.names["id"], call)
    if not _is_history(row):
        raise NotFound("This prompt is not over yet.")
    return json(await entries([row], call))


async def change(call: Call) -> Answer:
    """Leaves prompts out of the history that clients see. The runs stay, and so do their files."""
    wish = await call.json(HistoryWish)
    named = set(map(str, wish.delete))
    rows: list[PromptRow] = await (await call.reader()).ask(prompts.over, call.caller.account, MOST)
    for row in rows:
        if wish.clear or row.prompt in named:
            wished = DismissRun(by=call.caller.account, run=RunId(row.run))
            await call.parts.commands.run(wished, call.context())
    return DONE


async def jobs(call: Call) -> Answer:
    """GET /jobs: those of the states that are asked for, the newest first; what waits comes before what is over."""
    wanted = set(filter(None, call.query.get("status", "").split(","))) or OVER | WAITING
    if unknown := wanted - OVER - WAITING:
        raise Malformed(f"There is no such status: {', '.join(sorted(unknown))[:100]}.")
    limit = min(_count(call, "limit", PAGE), MOST_JOBS)
    offset = max(0, _count(call, "offset", 0))
    reader = await call.reader()
    found: list[PromptRow] = []
    if wanted & WAITING:
        found += reversed(await reader.ask(prompts.waiting, call.caller.account))
    states = {STATES[each] for each in wanted}
    if wanted & OVER:
        most = MOST if states < {STATES[each] for each in OVER} else offset + limit + 1
        found += await reader.ask(prompts.over, call.caller.account, most, executed=False)
    if workflow := call.query.get("workflow_id"):
        found = [row for row in found if str(row.workflow) == workflow]
    found = [row for row in found if row.status in states]
    if call.query.get("sort_order") == "asc":
        found.reverse()
    page = found[offset : offset + limit]
    names = await names_of(page, call)
    total = len(found)
    if wanted >= OVER and not workflow:
        waits = sum(row.status in (Status.QUEUED, Status.RUNNING) for row in found)
        total = waits + await reader.ask(prompts.count_over, call.caller.account)
    return json(
        {
            "jobs": [job(row, names.get(RunId(row.run), {})) for row in page],
            "pagination": {
                "offset": offset,
                "limit": limit,
                "total": total,
                "has_more": offset + len(page) < total,
            },
        }
    )


async def one_job(call: Call) -> Answer:
    """GET /jobs/{id}."""
    row = await run_called(call.names["id"], call)
    names = (await names_of([row], call)).get(RunId(row.run), {})
    found = await call.shared.documents.of([row])
    shown = entry(row, graph_of(row, found), extra_of(row, found), (), names)
    sent = {"prompt": graph_of(row, found), "extra_data": extra_of(row, found)}
    about = {
        "outputs": outputs_of(row.course, names) if _is_history(row) else {},
        "execution_status": shown["status"],
        "workflow": sent,
        "update_time": shown["status"]["messages"][-1][1]["timestamp"],
    }
    return json(job(row, names) | about)


async def entries(rows: list[PromptRow], call: Call) -> dict[str, dict[str, Any]]:
    found = await call.shared.documents.of(rows)
    names = await names_of(rows, call)
    return {row.prompt: _entry(row, found, names.get(RunId(row.run), {})) for row in rows}


def _entry(row: PromptRow, found: Mapping[str, Raw], names: Names) -> dict[str, Any]:
    graph = graph_of(row, found)
    return entry(row, graph, extra_of(row, found), last_nodes(graph), names)


def _is_history(row: PromptRow) -> bool:
    """A ComfyUI keeps nothing of what was taken out of its queue."""
    over = row.status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED) and not row.dismissed
    return over and (row.status is not Status.CANCELLED or row.started_at is not None)


def _count(call: Call, name: str, otherwise: int) -> int:
    """Raises Malformed."""
    text = call.query.get(name)
    if text is None or text == "":
        return otherwise
    try:
        number = int(text)
    except ValueError:
        raise Malformed(f"{name} must be a number.") from None
    return max(-1, min(number, MOST))
