"""Read models beside the log they come from: folded from it in memory, or built anew in the database."""

import asyncio
import time
from operator import attrgetter
from typing import Any

import msgspec
import psycopg

from domain.ids import Position
from infra.wiring import connect, read_models
from projections.catalogue import PROJECTIONS
from projections.overtaking import SwapFailedError
from projections.pages import LogPages
from projections.projection import Projection, Table
from projections.rebuild import BusyError, rebuild
from projections.writer import empty
from tests.whole.whole import LOOK_S, PATIENCE_S, Whole

BUILD = """SELECT name || '_g' || generation, position FROM work.projections
    WHERE name = %s AND state = 'live'"""

Rows = dict[str, list[tuple[Any, ...]]]


async def read_models_are_right(whole: Whole) -> None:
    """Folded anew from the log, each has the same rows, column by column. Nothing in the whole changes by it."""
    settings = whole.settings
    pages = LogPages(connect(str(settings.project_database_url)))
    try:
        async with read_models(settings) as models:
            with psycopg.connect(whole.owner_url) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                stored = {name: _stored(connection, model) for name, model in models.items()}
            for name, model in models.items():
                position, rows = stored[name]
                assert rows == await _folded(pages, model, position), name
    finally:
        await pages.close()


async def read_models_are_rebuilt_the_same(whole: Whole) -> None:
    """The same, by the way of an operator: each is built anew beside the live one, which it replaces."""
    settings = whole.settings
    async with read_models(settings) as models:
        for name, model in models.items():
            deadline = time.monotonic() + PATIENCE_S
            while True:
                position, followed = rows_of(whole.owner_url, name)
                await rebuilt(model, str(settings.project_database_url))
                again, fresh = rows_of(whole.owner_url, name)
                if position == again:
                    break  # else a backend came or went meanwhile
                assert time.monotonic() < deadline, f"the log never rests: {position}, {again}"
            assert followed == fresh, name


async def rebuilt(model: Projection, url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            await rebuild(model, connect(url))
            return
        except (BusyError, SwapFailedError):
            assert time.monotonic() < deadline, f"{model.name} cannot be rebuilt"
            await asyncio.sleep(LOOK_S)


def rows_of(owner_url: str, name: str) -> tuple[int, Rows]:
    """The live build: its position, and all it holds as of there."""
    with psycopg.connect(owner_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        build, position = connection.execute(BUILD, (name,)).fetchone() or ("", 0)
        found = {}
        for table in PROJECTIONS[name].tables:
            columns, order = ", ".join(table.row.__struct_fields__), ", ".join(table.key)
            query = f"SELECT {columns} FROM {build}.{table.name} ORDER BY {order}"
            found[table.name] = connection.execute(query.encode()).fetchall()
        return position, found


def _stored(connection: psycopg.Connection[Any], model: Projection) -> tuple[int, dict[str, list[Any]]]:
    """The same, as the model's builder reads rows back."""
    with connection.transaction():
        build, position = connection.execute(BUILD, (model.name,)).fetchone() or ("", 0)
        found = {}
        for table in model.tables:
            columns = ", ".join(table.row.__struct_fields__)
            query = (
                f"SELECT json_agg(stored)::text FROM (SELECT {columns} FROM {build}.{table.name}) AS stored"
            )
            ((rows,),) = connection.execute(query.encode()).fetchall()
            found[table.name] = _read(table, rows or "[]")
        return position, found


async def _folded(pages: LogPages, model: Projection, position: int) -> dict[str, list[Any]]:
    """The rows after so many events."""
    page = await pages.after(Position(0), position, model.topics)
    buffer = empty(model, whole=True)
    for recorded in await model.opened(page.events):
        model.fold(recorded, buffer)
    return {
        table.name: _read(table, msgspec.json.encode(buffer[table.name].everything()))
        for table in model.tables
    }


def _read(table: Table[Any], rows: str | bytes) -> list[Any]:
    """In order, and in one form, however they were written."""
    read: list[Any] = msgspec.json.decode(rows, type=list[table.row])  # type: ignore[name-defined]
    read.sort(key=attrgetter(*table.key))
    return list(msgspec.json.decode(msgspec.json.encode(read)))
