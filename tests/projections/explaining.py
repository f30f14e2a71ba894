"""What Postgres does for a page: the plan that the reader's connection holds, and how many rows it reads."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, AsyncCursor, sql
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from psycopg_pool import AsyncConnectionPool

from domain.ids import AccountId
from projections.paging import STRETCH
from projections.reading import Reader
from tests.projections.lists import Listed
from tests.servers import Database

_PREPARED = """SELECT name, parameter_types::oid[], parameter_types::text[] FROM pg_prepared_statements
WHERE statement = convert_from(%s, 'UTF8')"""


class Explaining:
    """A reader's cursor that asks each query twice: for what it answers, and how. It explains the very statement that
    the connection keeps, with the plan that it keeps, if it keeps one."""

    def __init__(self, cursor: AsyncCursor[Any]) -> None:
        self._cursor = cursor
        self._answer: Any = None
        self.plan: dict[str, Any] = {}
        self.statement = b""

    async def execute(self, query: bytes, parameters: Any = None, *, prepare: bool | None = None) -> None:
        await self._cursor.execute(query, parameters, prepare=prepare)
        if b"SELECT set_config" in query:
            return
        self._answer = await self._cursor.fetchone()
        sent = PostgresQuery(Transformer.from_context(self._cursor))
        sent.convert(query, parameters)
        self.statement = sent.query
        await self._cursor.execute(_PREPARED, (self.statement,))
        name, kinds = next(  # one for each choice of types
            (name, kinds)
            for name, ids, kinds in await self._cursor.fetchall()
            if all(mine in (0, theirs) for mine, theirs in zip(sent.types, ids, strict=True))
        )
        values = [parameters[each] for each in sent._order or ()]
        given = sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(kind))
            for value, kind in zip(values, kinds, strict=True)
        )
        await self._cursor.execute(
            sql.SQL("EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) EXECUTE {}({})").format(
                sql.Identifier(name), given
            )
        )
        ((found,),) = await self._cursor.fetchall()
        self.plan = found[0]["Plan"]

    async def fetchone(self) -> Any:
        return self._answer

    @property
    def stretching(self) -> bool:
        """Whether it looks at a stretch of the order."""
        return f"OFFSET {STRETCH - 1}".encode() in self.statement


def read(plan: dict[str, Any]) -> Iterator[tuple[float, str]]:
    """How many rows each part of a plan has read, and what it is."""
    names = ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter")
    rows = plan["Actual Rows"] + sum(plan.get(name, 0) for name in names)
    yield rows * plan["Actual Loops"], f"{plan['Node Type']} {plan.get('Relation Name', '')}"
    for part in plan.get("Plans", ()):
        yield from read(part)


@asynccontextmanager
async def one_reader(database: Database) -> AsyncIterator[Reader]:
    """Over one connection, which keeps every statement."""

    async def keeping(connection: AsyncConnection[Any]) -> None:
        connection.prepared_max = None

    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        database.url_of("comfyplus_query"),
        min_size=1,
        max_size=1,
        open=False,
        kwargs={"autocommit": True},
        configure=keeping,
    )
    async with pool:
        yield Reader(pool)


async def explained(
    reader: Reader, listed: Listed, account: AccountId, limit: int, after: str | None
) -> tuple[bytes, Explaining]:
    """A page as the API asks for it, and how it came about."""
    rights = {"overseeing": "a" in listed.rights, "moderating": bool(listed.rights)}
    async with reader.for_account(account, **rights) as cursor:
        explaining = Explaining(cursor)
        return await listed.ask(explaining, account, limit, after), explaining  # type: ignore[arg-type]  # as far as queries know
