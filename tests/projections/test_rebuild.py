"""A rebuilt read model has the same rows as the one that followed."""

import asyncio

import psycopg
import pytest

from domain.ids import Position
from projections import generations
from projections.overtaking import Progress
from projections.rebuild import rebuild
from projections.tables import prepare
from projections.writer import Writer
from tests.projections.ground import PROJECTIONS, Books, checkpoint, connecting, stored
from tests.projections.stories import ANN, everything, run
from tests.servers import Database


async def follow_all(database: Database, name: str, books: Books, size: int) -> None:
    """Build by small batches, as a live follower does."""
    projection, connect = PROJECTIONS[name], connecting(database)
    async with await connect() as connection:
        await prepare(connection)
        made = await generations.begin(connection, projection)
        made = await generations.complete(connection, projection, made, Position(0))
        assert await generations.swap(connection, projection, made)
        live = await generations.live(connection, name)
        assert live is not None
        writer = Writer(projection, live, connection)
        for start in range(0, len(books.events), size):
            batch = books.events[start : start + size]
            await writer.apply(batch, batch[-1].position)


@pytest.mark.parametrize("name", PROJECTIONS)
async def test_replay_gives_the_same_rows(database: Database, books: Books, name: str) -> None:
    books.add(*everything())
    await follow_all(database, name, books, 3)
    followed = stored(database, PROJECTIONS[name])
    told: list[Progress] = []
    rebuilt = await rebuild(PROJECTIONS[name], connecting(database), told.append)
    assert stored(database, PROJECTIONS[name]) == followed
    assert all(followed.values())
    assert (rebuilt.position, rebuilt.generation) == (len(books.events), 2)
    assert (told[-1].done, told[-1].total) == (len(books.events), len(books.events))
    assert checkpoint(database, name) == (len(books.events), None, 2, PROJECTIONS[name].version)
    in_batches = await rebuild(PROJECTIONS[name], connecting(database), bulk=False, grace_s=0)
    assert in_batches.generation == 3
    assert stored(database, PROJECTIONS[name]) == followed
    await asyncio.sleep(0)


@pytest.mark.parametrize("bulk", [True, False])
async def test_a_long_log_is_read_page_by_page(database: Database, books: Books, bulk: bool) -> None:
    with psycopg.connect(database.url) as owner:
        owner.execute(
            """INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id,
                recorded_at, owner, actor, correlation)
            SELECT gen_random_uuid(), 1, 'account.registered.v1', convert_to(json_build_object(
                'topic', 'account.registered.v1', 'account', gen_random_uuid(), 'username', 'u' || n
            )::text, 'UTF8'), n, now(), NULL, 'tests', gen_random_uuid() FROM generate_series(1, 36000) AS n"""
        )
    gallery = PROJECTIONS["gallery"]
    assert (await rebuild(gallery, connecting(database), bulk=bulk)).position == 36_000
    assert len(stored(database, gallery)["gallery_authors"]) == 36_000


async def test_a_batch_may_be_larger_than_what_a_socket_takes_at_once(
    database: Database, books: Books
) -> None:
    """Over a Unix socket a pipeline of many megabytes would never end."""
    books.add(*(each for _ in range(1_500) for each in run(ANN)))
    async with asyncio.timeout(30):
        await follow_all(database, "audit_trail", books, 15_000)
    assert len(stored(database, PROJECTIONS["audit_trail"])["audit_trail"]) == 13_500
