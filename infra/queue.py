"""`comfyplus queue ...` and `comfyplus admin limits`: steering the queue from the terminal."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from uuid import UUID

from rich.console import Console
from rich.table import Table

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.queue_view import PostgresQueueView
from commands.accounts import named
from commands.audiences import Restriction
from commands.dispatcher import Dispatcher
from commands.needs import Command, Needs
from commands.ports import LogUnavailableError, OutcomeUnknownError
from commands.queue import AssignPool, CleanQueue, PauseQueue, ResumeQueue, ReviveRun, SetLimits, SetPool
from commands.streams import Accepted, Context
from domain.ids import Actor, RunId
from domain.limits import Allowance
from domain.queue import PoolSettings
from domain.refusals import DomainError
from infra.printable import printable
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs, new_id, pool
from projections.paging import NEWEST

OPERATOR = Actor("operator")
SHOWN = 100

Make = Callable[[Needs], Awaitable[Command]]


def pause(settings: Settings, pool: str, reason: str) -> int:
    """Returns the exit code, as all of these: 0 done, 1 not done."""
    return _wish(settings, PauseQueue(pool=pool, reason=reason), f"{_name(pool)} paused.")


def resume(settings: Settings, pool: str, reason: str) -> int:
    return _wish(settings, ResumeQueue(pool=pool, reason=reason), f"{_name(pool)} resumed.")


def set_pool(
    settings: Settings, name: str, pool: PoolSettings, audience: Restriction | None, reason: str
) -> int:
    wish = SetPool(pool=name, settings=pool, audience=audience, reason=reason)
    return _wish(settings, wish, f"{name} is set up.")


def assign_pool(settings: Settings, username: str, pool: str | None, reason: str) -> int:
    async def make(wants: Needs) -> Command:
        return AssignPool(account=await named(username, wants), pool=pool, reason=reason)

    where = pool or "everybody's pool"
    return _done(_make_and_wish(settings, make, f"Runs of {username} wait in {where} now."))


def clean(settings: Settings, days: float, states: tuple[str, ...], reason: str) -> int:
    wish = CleanQueue(states=states, older_than_s=days * 86_400, reason=reason)
    return _wish(settings, wish, "They are put away in the background.")


def requeue(settings: Settings, run: UUID, reason: str) -> int:
    return _wish(settings, ReviveRun(run=RunId(run), reason=reason), "The run waits again.")


def set_limits(settings: Settings, username: str, limits: Allowance, weight: float, reason: str) -> int:
    async def make(wants: Needs) -> Command:
        account = await named(username, wants)
        return SetLimits(account=account, limits=limits, weight=weight, reason=reason)

    return _done(_make_and_wish(settings, make, f"{username} has other limits now."))


def show(settings: Settings) -> int:
    async def look(queue: PostgresQueueView) -> None:
        found = await queue.stats()
        columns = ("pool", "rank", "state", "active", "waiting", "oldest", "completed", "failed", "cancelled")
        table = Table(*columns)
        for each in found.pools:
            state = "paused" if each.paused or found.paused else ""
            oldest = "" if each.oldest_wait_s is None else f"{each.oldest_wait_s:,.0f} s"
            counts = (each.completed, each.failed, each.cancelled)
            table.add_row(
                each.name,
                str(each.rank),
                state,
                str(each.active),
                f"{each.waiting:,}",
                oldest,
                *(f"{count:,}" for count in counts),
            )
        Console().print(table, markup=False)

    return _done(_look(settings, look))


def show_dead(settings: Settings) -> int:
    async def look(queue: PostgresQueueView) -> None:
        at, id = NEWEST
        found = await queue.dead(SHOWN, (at, RunId(id)))
        for dead in found:
            reason = printable(dead.failure.reason)
            print(f"{dead.run} {dead.failed_at:%FT%TZ} {dead.failure.kind} after {dead.attempts}: {reason}")
        if not found:
            print("There are none.")

    return _done(_look(settings, look))


def _name(pool: str) -> str:
    return f"{pool} is" if pool else "Everything is"


def _wish(settings: Settings, wish: Command, said: str) -> int:
    async def make(wants: Needs) -> Command:
        return wish

    return _done(_make_and_wish(settings, make, said))


async def _make_and_wish(settings: Settings, make: Make, said: str) -> None:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        context = Context(actor=OPERATOR, correlation=new_id())
        accepted: Accepted = await Dispatcher(wants).run(await make(wants), context)
        print(said if accepted.position else "It was so already.")


async def _look(settings: Settings, look: Callable[[PostgresQueueView], Awaitable[None]]) -> None:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with pool(url, size=1) as connections:
        await look(PostgresQueueView(connections))


def _done(work: Awaitable[None]) -> int:
    async def finish() -> None:
        await work

    try:
        asyncio.run(finish())
    except (DomainError, LogUnavailableError, OutcomeUnknownError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
