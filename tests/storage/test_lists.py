"""Lists that are no read models: a page of them reads about as many rows as it shows, too."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from adapters.postgres.accounts import SESSIONS
from adapters.postgres.queue_view import DEAD
from adapters.postgres.webhooks import DELIVERIES, IN_STATE
from tests.projections.explaining import read
from tests.servers import Database

ROWS, PAGE = 20_000, 20
MOST = 500  # rows that a part of the plan reads
ONE = UUID(int=1)
NOW, MIDDLE = datetime(2027, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 3, tzinfo=UTC)
LAST = UUID(int=2**128 - 1)
FILLED = f"""
INSERT INTO work.webhook_deliveries (delivery, webhook, position, type, state, made_at)
SELECT gen_random_uuid(), '{ONE}', n, 'run.started.v1', CASE WHEN n = 3 THEN 'failed' ELSE 'delivered' END,
    timestamptz '2026-01-01' + n * interval '1 second' FROM generate_series(1, {ROWS}) AS n;
INSERT INTO work.queue (run, version, owner, state, rank, not_before, graph, timeout_s, position, failed_at, failure)
SELECT gen_random_uuid(), 1, '{ONE}', 'dead', 0, now(), '', 60, 0, timestamptz '2026-01-01' + n * interval '1 second',
    '{{"kind": "lost", "reason": "Gone."}}' FROM generate_series(1, {ROWS}) AS n;
INSERT INTO work.sessions (session, account, user_agent, address, began_at, used_at)
SELECT gen_random_uuid(), '{ONE}', '', '', now(), timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1, {ROWS}) AS n;
ANALYZE work.webhook_deliveries, work.queue, work.sessions;
"""


@pytest.fixture
def filled(database: Database) -> Database:
    with psycopg.connect(database.url) as connection:
        connection.execute(FILLED.encode())
    return database


@pytest.mark.parametrize(
    ("query", "values"),
    [
        *((DELIVERIES, (ONE, at, LAST, PAGE)) for at in (NOW, MIDDLE)),
        *(
            (IN_STATE, (ONE, at, LAST, state, PAGE))
            for at in (NOW, MIDDLE)
            for state in ("failed", "delivered", "waiting")
        ),
        *((DEAD, (at, LAST, PAGE)) for at in (NOW, MIDDLE)),
        (SESSIONS, (ONE,)),
    ],
)
def test_a_page_reads_what_it_shows_and_no_more(filled: Database, query: str, values: Sequence[Any]) -> None:
    with psycopg.connect(filled.url_of("comfyplus_app")) as connection:
        asked = f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {query}".encode()
        row = connection.execute(asked, values).fetchone()
    assert row is not None
    parts = list(read(row[0][0]["Plan"]))
    assert not [f"{part} reads {rows:.0f} rows" for rows, part in parts if rows > MOST or "Gather" in part]
