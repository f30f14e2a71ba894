"""What of an account is in the read models: asked as their owner, past row-level security, to remove it."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from domain.account import AccountErased
from domain.catalogue import CATALOGUE
from domain.event import topic
from domain.ids import (
    AccountId,
    CommentId,
    Digest,
    InputId,
    OutputId,
    Position,
    PresetId,
    RunId,
    StreamId,
    TemplateId,
    WorkflowId,
)
from domain.input import InputStored
from domain.run import OutputStored, Status
from domain.workflow import WorkflowThumbnailSet
from projections.pages import Connect

PAGE = 2_000  # runs at once

_REACHED = b"""
SELECT count(*) = 11 FROM work.projections
WHERE name = ANY (ARRAY[
    'run_status', 'workflow_shelf', 'template_shelf', 'preset_shelf', 'inputs', 'gallery', 'comments', 'follows',
    'shares', 'shared_outputs', 'collections'
]) AND state = 'live' AND position >= %s
"""
_UNFINISHED = (
    b"SELECT id FROM read.runs WHERE owner = %s AND status = ANY (%s) ORDER BY submitted_at LIMIT 10000"
)
_WORKFLOWS = b"SELECT id FROM read.workflows WHERE owner = %s AND (NOT public OR %s) ORDER BY id LIMIT 10000"
_PICTURED = b"SELECT id FROM read.workflows WHERE owner = %s AND thumbnails <> '[]' ORDER BY id LIMIT 10000"
_TEMPLATES = b"SELECT id FROM read.templates WHERE owner = %s AND (NOT public OR %s) ORDER BY id LIMIT 10000"
_PRESETS = b"SELECT id FROM read.presets WHERE owner = %s AND (NOT public OR %s) ORDER BY id LIMIT 10000"
_INPUTS = b"SELECT id FROM read.inputs WHERE owner = %s ORDER BY id LIMIT 10000"
_LIKES = b"SELECT workflow FROM read.gallery_likes WHERE account = %s ORDER BY workflow LIMIT 10000"
_COMMENTS = b"SELECT id FROM read.comments WHERE owner = %s AND NOT deleted ORDER BY position LIMIT 10000"
_FOLLOWS = b"""
(SELECT follower, followed FROM read.follows WHERE follower = %(account)s LIMIT 10000)
UNION ALL (SELECT follower, followed FROM read.follows WHERE followed = %(account)s LIMIT 10000)
"""
_SHARES = b"SELECT id FROM read.shares WHERE owner = %s ORDER BY position LIMIT 10000"
_SHOWN = b"SELECT id FROM read.shared_outputs WHERE owner = %s AND wanted ORDER BY id LIMIT 10000"
_LIKED_OUTPUTS = b"SELECT output FROM read.output_likes WHERE account = %s ORDER BY output LIMIT 10000"
_COLLECTIONS = b"SELECT id FROM read.collections WHERE owner = %s ORDER BY position LIMIT 10000"
_UPLOADED = b"SELECT topic, state FROM log.events WHERE owner = %s AND topic = ANY (%s)"
_RUNS = b"SELECT id FROM read.runs WHERE owner = %s AND id > %s ORDER BY id LIMIT %s"
_STORED = b"SELECT topic, state FROM log.events WHERE originator_id = ANY (%s) AND topic = %s"
_RENDITIONS = b"SELECT DISTINCT digest FROM work.renditions WHERE source = ANY (%s)"
# Each digest by itself, so that whatever there is else is not looked through.
_REFERENCES = {
    "outputs": (
        "stored.digest = digests.digest",
        "jsonb_path_query_array(stored.thumbnails, '$[*].digest') @> to_jsonb(digests.digest)",
    ),
    "inputs": ("stored.digest = digests.digest",),
    "workflows": ("jsonb_path_query_array(stored.thumbnails, '$[*].digest') @> to_jsonb(digests.digest)",),
}


def _referring(other: str) -> bytes:
    """Which digests outputs, inputs and pictures of workflows refer to."""
    return " UNION ".join(
        f"""SELECT digests.digest FROM unnest(%(digests)s::text[]) AS digests (digest) WHERE EXISTS (
            SELECT FROM read.{table} AS stored WHERE {refers}{other}
        )"""
        for table, conditions in _REFERENCES.items()
        for refers in conditions
    ).encode()


# One whose account was erased as well needs nothing any more.
_NEEDED = _referring(""" AND stored.owner <> %(account)s AND NOT EXISTS (
    SELECT FROM log.events AS e WHERE e.originator_id = stored.owner AND e.topic = %(erased)s
)""")
_NEEDED_BY_ANYTHING = _referring("")
# A run that is not over may load an input that its owner has deleted meanwhile.
_AWAITED = b"""
SELECT DISTINCT loaded.digest FROM read.runs AS run
JOIN log.events AS e ON e.originator_id = run.id AND e.originator_version = 1
CROSS JOIN LATERAL jsonb_array_elements_text(
    convert_from(e.state, 'UTF8')::jsonb -> 'inputs'
) AS loaded (digest)
WHERE run.status IN ('queued', 'running') AND loaded.digest = ANY (%(digests)s)
"""


class AccountBelongings:
    """Over one connection that is renewed when lost. Every method raises psycopg.OperationalError."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> "AccountBelongings":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def reached(self, position: Position) -> bool:
        ((there,),) = await self._fetch(_REACHED, (position,))
        return bool(there)

    async def unfinished_runs(self, account: AccountId) -> list[RunId]:
        return [
            RunId(id) for (id,) in await self._fetch(_UNFINISHED, (account, [Status.QUEUED, Status.RUNNING]))
        ]

    async def workflows(self, account: AccountId, *, published: bool) -> list[WorkflowId]:
        return [WorkflowId(id) for (id,) in await self._fetch(_WORKFLOWS, (account, published))]

    async def pictured(self, account: AccountId) -> list[WorkflowId]:
        return [WorkflowId(id) for (id,) in await self._fetch(_PICTURED, (account,))]

    async def templates(self, account: AccountId, *, published: bool) -> list[TemplateId]:
        return [TemplateId(id) for (id,) in await self._fetch(_TEMPLATES, (account, published))]

    async def presets(self, account: AccountId, *, published: bool) -> list[PresetId]:
        return [PresetId(id) for (id,) in await self._fetch(_PRESETS, (account, published))]

    async def inputs(self, account: AccountId) -> list[InputId]:
        return [InputId(id) for (id,) in await self._fetch(_INPUTS, (account,))]

    async def likes(self, account: AccountId) -> list[WorkflowId]:
        return [WorkflowId(id) for (id,) in await self._fetch(_LIKES, (account,))]

    async def comments(self, account: AccountId) -> list[CommentId]:
        return [CommentId(id) for (id,) in await self._fetch(_COMMENTS, (account,))]

    async def follows(self, account: AccountId) -> list[tuple[AccountId, AccountId]]:
        rows = await self._fetch(_FOLLOWS, {"account": account})
        return [(AccountId(follower), AccountId(followed)) for follower, followed in rows]

    async def shares(self, account: AccountId) -> list[StreamId]:
        return [id for (id,) in await self._fetch(_SHARES, (account,))]

    async def shown_outputs(self, account: AccountId) -> list[OutputId]:
        return [OutputId(id) for (id,) in await self._fetch(_SHOWN, (account,))]

    async def liked_outputs(self, account: AccountId) -> list[OutputId]:
        return [OutputId(id) for (id,) in await self._fetch(_LIKED_OUTPUTS, (account,))]

    async def collections(self, account: AccountId) -> list[StreamId]:
        return [id for (id,) in await self._fetch(_COLLECTIONS, (account,))]

    async def objects(self, account: AccountId) -> AsyncIterator[Sequence[Digest]]:
        """Pages of digests of everything it has uploaded or its runs have stored, that no other account needs."""
        after = UUID(int=0)
        while runs := [id for (id,) in await self._fetch(_RUNS, (account, after, PAGE))]:
            after = runs[-1]
            yield await self._unneeded(await self._stored(runs), account)
        yield await self._unneeded(await self._uploaded(account), account)

    async def stored_by(self, runs: Sequence[RunId]) -> set[Digest]:
        return await self._stored(runs)

    async def needed(self, digests: Collection[Digest]) -> set[Digest]:
        """Those that something refers to that anybody still sees."""
        rows = await self._fetch(_NEEDED_BY_ANYTHING, {"digests": sorted(digests)})
        return {Digest(digest) for (digest,) in rows}

    async def awaited(self, digests: Collection[Digest]) -> set[Digest]:
        """Those that a run which is not over loads."""
        return {Digest(digest) for (digest,) in await self._fetch(_AWAITED, {"digests": sorted(digests)})}

    async def _unneeded(self, digests: set[Digest], account: AccountId) -> list[Digest]:
        asked = {"digests": sorted(digests), "account": account, "erased": topic(AccountErased)}
        return sorted(digests - {needed for (needed,) in await self._fetch(_NEEDED, asked)})

    async def _uploaded(self, account: AccountId) -> set[Digest]:
        """From the log: the read model forgets what was deleted."""
        found: set[Digest] = set()
        topics = [topic(InputStored), topic(WorkflowThumbnailSet)]
        for name, state in await self._fetch(_UPLOADED, (account, topics)):
            match CATALOGUE.decode(name, state):
                case InputStored(digest=digest):
                    found.add(digest)
                case WorkflowThumbnailSet(thumbnails=thumbnails):
                    found |= {each.digest for each in thumbnails}
                case _:
                    pass
        return found

    async def _stored(self, runs: Sequence[UUID]) -> set[Digest]:
        """From the log: the read model forgets what a lost attempt has stored. With what was made of it since."""
        found: set[Digest] = set()
        for name, state in await self._fetch(_STORED, (runs, topic(OutputStored))):
            event = CATALOGUE.decode(name, state)
            if isinstance(event, OutputStored):
                found |= {event.output.digest, *(small.digest for small in event.output.thumbnails)}
        made = await self._fetch(_RENDITIONS, (sorted(found),)) if found else ()
        return found | {Digest(digest) for (digest,) in made}

    async def _fetch(self, query: bytes, values: Any) -> list[tuple[Any, ...]]:
        """Raises psycopg.OperationalError."""
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await self._connect()
        return await (await self._connection.execute(query, values)).fetchall()
