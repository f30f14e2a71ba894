"""A look at the log behind the door."""

import psycopg

from tests.http.whole import Whole

OF_ACCOUNTS = (
    r"SELECT coalesce(max(notification_id), 0) FROM log.events WHERE actor ~ '^[0-9a-f]{8}-[0-9a-f-]{27}$'"
)


def head(whole: Whole) -> int:
    """The last thing that somebody did. What dispatch does by itself, such as taking back a lease, is none of it."""
    with psycopg.connect(whole.database.url) as connection:
        row = connection.execute(OF_ACCOUNTS).fetchone()
    assert row is not None
    return int(row[0])


def contents(whole: Whole) -> int:
    """How many documents are kept beside it."""
    with psycopg.connect(whole.database.url) as connection:
        row = connection.execute("SELECT count(*) FROM log.contents").fetchone()
    assert row is not None
    return int(row[0])
