"""Read models at the door: bound to who asks, and not older than what they have seen."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import psycopg
import psycopg_pool
from litestar import MediaType, Response
from msgspec import Struct

from adapters.http.problems import NotYet
from commands.ports import LogUnavailableError
from domain.ids import AccountId, Position
from domain.refusals import NotFound
from projections import audit_trail
from projections.consistency import Positions
from projections.reading import Reader as ReadModels

BEHIND = "The view has not caught up with that position yet. Please ask again."

Query: TypeAlias = Callable[..., Awaitable[Any]]
"""A query of a read model: its first argument is a cursor; its module is named after the read model."""


class Page(Struct):
    items: list[msgspec.Raw]


_decode_page = msgspec.json.Decoder(Page).decode


class Reads(Struct, frozen=True):
    models: ReadModels
    positions: Positions
    catch_up_s: float = 5.0
    """How long a reader waits for their own write."""


class Reader:
    """One caller's view."""

    def __init__(
        self,
        reads: Reads,
        account: AccountId | None,
        consistent_with: int,
        *,
        overseeing: bool = False,
        moderating: bool = False,
    ) -> None:
        """`overseeing`: the account is known to administer the whole; `moderating`: to keep order."""
        self._reads = reads
        self._rights = {"overseeing": overseeing, "moderating": moderating}
        self.account = account
        self._consistent_with = Position(consistent_with)

    async def caught_up(self, *models: str) -> None:
        """Wait for read models that a query looks at beside its own. Raises NotYet."""
        known, patience_s = self._consistent_with, self._reads.catch_up_s
        if known and not await self._reads.positions.reach(models, known, patience_s):
            raise NotYet(BEHIND)

    async def ask(self, query: Query, *arguments: Any, **named: Any) -> Any:
        """Raises NotYet, LogUnavailableError, and what the query refuses."""
        await self.caught_up(query.__module__.rpartition(".")[2])
        try:
            async with self._reads.models.for_account(self.account, **self._rights) as cursor:
                return await query(cursor, *arguments, **named)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise NotYet("The view is being built. Please ask again.") from error
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError("The read models cannot be reached.") from error

    async def one(self, query: Query, *arguments: Any, missing: str) -> bytes:
        """Raises NotFound with the sentence `missing`."""
        row: bytes | None = await self.ask(query, *arguments)
        if row is None:
            raise NotFound(missing)
        return row

    async def page(
        self, query: Query, *arguments: Any, limit: int, cursor: str | None, **named: Any
    ) -> Response[bytes]:
        return json_response(await self.ask(query, *arguments, limit=limit, after=cursor, **named))

    async def history(
        self, stream: UUID, kind: str, *, limit: int, cursor: str | None, missing: str
    ) -> Response[bytes]:
        """Raises NotFound: a thing without history does not exist for this caller."""
        found: bytes = await self.ask(audit_trail.history, stream, kind, limit=limit, after=cursor)
        if not _decode_page(found).items:
            first = await self.ask(audit_trail.history, stream, kind, limit=1) if cursor else found
            if not _decode_page(first).items:
                raise NotFound(missing)
        return json_response(found)


def json_response(body: bytes) -> Response[bytes]:
    return Response(body, media_type=MediaType.JSON)
