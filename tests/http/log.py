"""A look at the log behind the door."""

from typing import LiteralString

import psycopg

from tests.http.whole import Whole

DEEDS = "SELECT count(*) FROM log.events WHERE actor ~ '^[0-9a-f]{8}-[0-9a-f-]{27}$'"


def deeds(whole: Whole) -> int:
    """How many events are of accounts. What dispatch does by itself, such as taking back a lease, is none of them."""
    return _number(whole, DEEDS)


def contents(whole: Whole) -> int:
    """How many documents are kept beside it."""
    return _number(whole, "SELECT count(*) FROM log.contents")


def _number(whole: Whole, query: LiteralString) -> int:
    with psycopg.connect(whole.database.url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
