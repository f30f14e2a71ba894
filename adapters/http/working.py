"""The working state for handlers of administrators: a connection to it, and what is not there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
import psycopg_pool
from psycopg import AsyncConnection

from adapters.http.parts import Parts
from commands.ports import LogUnavailableError
from domain.refusals import NotFound
from projections.catalogue import PROJECTIONS

T = TypeVar("T")

NO_MODEL = "There is no such read model."


@asynccontextmanager
async def working_state(parts: Parts) -> AsyncIterator[AsyncConnection[Any]]:
    """Raises LogUnavailableError."""
    try:
        async with parts.work.connection() as connection:
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
        raise LogUnavailableError("The working state cannot be reached.") from error


def known(name: str) -> None:
    if name not in PROJECTIONS:
        raise NotFound(NO_MODEL)


def found_or(thing: T | None, missing: str) -> T:
    if thing is None:
        raise NotFound(missing)
    return thing
