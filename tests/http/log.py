"""A look at the log behind the door."""

import psycopg

from tests.http.whole import Whole


def head(whole: Whole) -> int:
    """How many events there are."""
    with psycopg.connect(whole.database.url) as connection:
        row = connection.execute("SELECT coalesce(max(notification_id), 0) FROM log.events").fetchone()
    assert row is not None
    return int(row[0])


def contents(whole: Whole) -> int:
    """How many documents are kept beside it."""
    with psycopg.connect(whole.database.url) as connection:
        row = connection.execute("SELECT count(*) FROM log.contents").fetchone()
    assert row is not None
    return int(row[0])
