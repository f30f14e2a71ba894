"""`comfyplus projections`, `comfyplus parked ...`: read models and what stands in their way, in the terminal."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table

from adapters.identity.secrets import ServerSecrets
from commands.dispatcher import Dispatcher
from commands.needs import Command
from commands.ports import LogUnavailableError, OutcomeUnknownError
from commands.projections import SkipEvent, WithdrawSkip
from commands.streams import Accepted, Context
from domain.ids import Actor, Position
from domain.refusals import DomainError
from infra.printable import printable, size
from infra.settings import Settings, load_secret
from infra.wiring import connect, needed, needs
from projections import jobs, operating
from projections.catalogue import PROJECTIONS
from projections.operating import Overview, ParkedEvent

OPERATOR = Actor("operator")
NOT_PARKED = "{name} is not held up by the event at {position}. `comfyplus parked` lists those that are."


class RefusedError(Exception):
    """What was asked for cannot be done; the message says why."""


def show_projections(settings: Settings) -> int:
    """Returns the exit code, as all of these: 0 done, 1 not done."""

    async def show(connection: AsyncConnection[Any]) -> None:
        table = Table("name", "state", "position", "lag", "version", "size", "builds", "under way")
        for each in await operating.overview(connection, PROJECTIONS):
            table.add_row(*_row(each))
        Console().print(table, markup=False)
        for event in await operating.parked(connection):
            print(
                f"{event.projection} is held up by the event at {event.position}: {printable(event.reason)}"
            )

    return _done(_with(settings, show))


def show_parked(settings: Settings) -> int:
    async def show(connection: AsyncConnection[Any]) -> None:
        found = await operating.parked(connection)
        for event in found:
            print(f"{event.projection} {event.position} {event.topic}: {printable(event.reason)}")
        if not found:
            print("Nothing is parked.")

    return _done(_with(settings, show))


def show_event(settings: Settings, name: str, position: int) -> int:
    async def show(connection: AsyncConnection[Any]) -> None:
        event = await _parked(connection, name, position)
        whose = "a rebuild" if event.rebuild else "the live build"
        print(f"stops      {whose} of {event.projection}")
        print(f"reason     {printable(event.reason)}")
        print(f"position   {event.position}")
        print(f"topic      {printable(event.topic)}")
        print(f"stream     {event.stream}, version {event.version}")
        print(f"at         {event.at.isoformat()}")
        print(f"actor      {printable(event.actor)}")
        print(f"stored     {len(event.stored)} bytes")
        print(printable(event.stored.decode(errors="backslashreplace"), lines=True))

    return _done(_with(settings, show))


def retry(settings: Settings, name: str, position: int) -> int:
    async def again(connection: AsyncConnection[Any]) -> None:
        await _parked(connection, name, position)
        await jobs.tell(connection, name)
        print(f"{name} tries the event at {position} once more.")

    return _done(_with(settings, again))


def skip(settings: Settings, name: str, position: int, reason: str) -> int:
    async def leave_out(connection: AsyncConnection[Any]) -> None:
        event = await _parked(connection, name, position)
        wish = SkipEvent(projection=name, position=Position(position), reason=reason, fault=event.reason)
        accepted = await _wish(settings, wish)
        await jobs.tell(connection, name)
        print(f"{name} leaves out the event at {position}, by the event at {accepted.position}.")

    return _done(_with(settings, leave_out))


def withdraw(settings: Settings, name: str, position: int, reason: str) -> int:
    async def take_in(connection: AsyncConnection[Any]) -> None:
        if name not in PROJECTIONS:
            raise RefusedError(f"There is no read model {name!r}. There are: {', '.join(PROJECTIONS)}.")
        wish = WithdrawSkip(projection=name, position=Position(position), reason=reason)
        accepted = await _wish(settings, wish)
        if not accepted.position:
            raise RefusedError(f"The event at {position} is not left out of {name}.")
        await jobs.tell(connection, name)
        print(f"{name} is built anew, with the event at {position}.")

    return _done(_with(settings, take_in))


async def _wish(settings: Settings, wish: Command) -> Accepted:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        context = Context(actor=OPERATOR, correlation=uuid4())
        accepted: Accepted = await Dispatcher(wants).run(wish, context)
        return accepted


async def _parked(connection: AsyncConnection[Any], name: str, position: int) -> ParkedEvent:
    for event in await operating.parked(connection):
        if (event.projection, event.position) == (name, position):
            return event
    raise RefusedError(NOT_PARKED.format(name=name, position=position))


async def _with(settings: Settings, work: Callable[[AsyncConnection[Any]], Awaitable[None]]) -> None:
    url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with await connect(url)() as connection:
        await work(connection)


def _done(work: Any) -> int:
    try:
        asyncio.run(work)
    except (RefusedError, DomainError, LogUnavailableError, OutcomeUnknownError) as error:
        print(error, file=sys.stderr)
        return 1
    except psycopg.OperationalError as error:
        print(f"The database cannot be reached: {error}", file=sys.stderr)
        return 1
    return 0


def _row(each: Overview) -> tuple[str, ...]:
    live, job = each.live, each.job
    version = (
        str(each.version)
        if live is None or live.version == each.version
        else f"{live.version} -> {each.version}"
    )
    builds = ", ".join(f"{build.generation} {build.state}" for build in each.builds)
    under_way = "" if job is None else f"{job.kind} {job.state} {job.done:,}/{job.total:,}"
    return (
        each.name,
        each.state,
        "" if live is None else f"{live.position:,}",
        "" if live is None else f"{live.lag:,}",
        version,
        size(sum(build.size_bytes for build in each.builds)),
        builds,
        under_way,
    )
