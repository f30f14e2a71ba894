"""Everything of an account that is in the read models, row by row: bound to the account as any query of its own.

In an order that nothing changes, so that what changes meanwhile is neither left out nor there twice.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from domain.ids import AccountId
from projections.reading import Reader, planned_anew

Row: TypeAlias = dict[str, Any]

PAGE = 200  # rows
RUNS = 40  # each with up to a thousand outputs

_COUNTED = b"""
SELECT (SELECT coalesce(sum(versions), 0) FROM read.workflows WHERE owner = %(owner)s)
    + (SELECT count(*) FROM read.runs WHERE owner = %(owner)s)
"""
_PAGED = "SELECT convert_to(coalesce(json_agg(one), '[]')::text, 'UTF8') FROM ({query} LIMIT {limit}) AS one"
# `*`: whatever is known of an account is its own, also what is added to a view tomorrow.
_WORKFLOWS = "SELECT * FROM read.workflows WHERE owner = %(owner)s AND id > %(after)s ORDER BY id"
_VERSIONS = """SELECT * FROM read.workflow_versions
    WHERE owner = %(owner)s AND workflow = %(workflow)s AND number > %(after)s ORDER BY number"""
_TEMPLATES = "SELECT * FROM read.templates WHERE owner = %(owner)s AND id > %(after)s ORDER BY id"
_PRESETS = "SELECT * FROM read.presets WHERE owner = %(owner)s AND id > %(after)s ORDER BY id"
_INPUTS = "SELECT * FROM read.inputs WHERE owner = %(owner)s AND id > %(after)s ORDER BY id"
_RUNS = """SELECT run.*, (
        SELECT coalesce(json_agg(output ORDER BY output.node, output.index), '[]')
        FROM read.outputs AS output WHERE output.run = run.id
    ) AS outputs, (
        SELECT to_json(trait) FROM read.run_traits AS trait WHERE trait.id = run.id
    ) AS traits
    FROM read.runs AS run
    WHERE run.owner = %(owner)s AND (run.submitted_at, run.id) > (%(at)s, %(after)s)
    ORDER BY run.submitted_at, run.id"""


class OwnThings:
    """Every method raises psycopg.Error."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def counted(self, account: AccountId) -> int:
        async with self._reader.for_account(account) as cursor:
            await planned_anew(cursor)
            await cursor.execute(_COUNTED, {"owner": account})
            ((count,),) = await cursor.fetchall()
        return int(count)

    async def workflows(self, account: AccountId) -> AsyncIterator[Row]:
        after: Any = UUID(int=0)
        while page := await self._page(account, _WORKFLOWS, {"after": after}):
            for row in page:
                yield row
            after = page[-1]["id"]

    async def versions(self, account: AccountId, workflow: UUID) -> AsyncIterator[Row]:
        after = 0
        while page := await self._page(account, _VERSIONS, {"workflow": workflow, "after": after}):
            for row in page:
                yield row
            after = page[-1]["number"]

    async def templates(self, account: AccountId) -> AsyncIterator[Row]:
        after: Any = UUID(int=0)
        while page := await self._page(account, _TEMPLATES, {"after": after}):
            for row in page:
                yield row
            after = page[-1]["id"]

    async def presets(self, account: AccountId) -> AsyncIterator[Row]:
        after: Any = UUID(int=0)
        while page := await self._page(account, _PRESETS, {"after": after}):
            for row in page:
                yield row
            after = page[-1]["id"]

    async def inputs(self, account: AccountId) -> AsyncIterator[Row]:
        after: Any = UUID(int=0)
        while page := await self._page(account, _INPUTS, {"after": after}):
            for row in page:
                yield row
            after = page[-1]["id"]

    async def runs(self, account: AccountId) -> AsyncIterator[Row]:
        at: Any = datetime(1, 1, 1, tzinfo=UTC)
        after: Any = UUID(int=0)
        while page := await self._page(account, _RUNS, {"at": at, "after": after}, RUNS):
            for row in page:
                yield row
            at, after = page[-1]["submitted_at"], page[-1]["id"]

    async def _page(
        self, account: AccountId, query: str, values: dict[str, Any], limit: int = PAGE
    ) -> list[Row]:
        wrapped = _PAGED.format(query=query, limit=limit).encode()
        async with self._reader.for_account(account) as cursor:
            await planned_anew(cursor)
            await cursor.execute(wrapped, {"owner": account} | values)
            ((found,),) = await cursor.fetchall()
        return msgspec.json.decode(found, type=list[Row])
