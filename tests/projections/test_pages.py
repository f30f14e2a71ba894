"""A page of the log that comes packed says what it says row by row."""

import psycopg

from domain.ids import Position
from projections.pages import LogPages
from tests.projections.ground import Books, connecting
from tests.projections.stories import everything
from tests.servers import Database

EVENTS = 3_000
AT_ODD_TIMES = """
INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id, recorded_at, owner, actor,
    correlation, causation)
SELECT id, 1, 'workflow.created.v1', convert_to(json_build_object('topic', 'workflow.created.v1', 'owner', id,
    'name', 'w' || n)::text, 'UTF8'), n,
    timestamptz '1999-12-31 23:59:59.999999+00' + n * interval '3 days 7 hours 11.000007 seconds',
    CASE WHEN mod(n, 3) = 0 THEN id END, 'ähm ' || n, id, CASE WHEN mod(n, 2) = 0 THEN n - 1 END
FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, %s) AS n) AS made
"""


async def test_every_kind_of_event_comes_either_way(database: Database, books: Books) -> None:
    books.add(*everything())
    pages = LogPages(connecting(database))
    try:
        page = await pages.after(Position(0), 10_000)
        assert page.events == await pages.one_by_one(Position(0), page.upto, None) == books.events
    finally:
        await pages.close()


async def test_times_are_exact_to_the_microsecond(database: Database) -> None:
    with psycopg.connect(database.url) as owner:
        owner.execute(AT_ODD_TIMES, (EVENTS,))
    pages = LogPages(connecting(database))
    try:
        packed = pages.unpack(await pages.fetch(Position(0), EVENTS, None))
        assert len({event.at.microsecond for event in packed}) == EVENTS
        assert packed == await pages.one_by_one(Position(0), Position(EVENTS), None)
    finally:
        await pages.close()
