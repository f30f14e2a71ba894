"""How far the log has come, and what else its owner sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg

from tests.servers import Database

HEAD = "SELECT coalesce(max(notification_id), 0) FROM log.events"
WAIT = "-c statement_timeout=5s"  # a test may have locked the log


class Head:
    """Calling it gives the position of the last event; 0 while the database does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None

    @classmethod
    @contextmanager
    def of(cls, database: Database) -> Iterator[Self]:
        head = cls(database.url)
        try:
            yield head
        finally:
            head._leave()

    def __call__(self) -> int:
        for _ in range(2):  # a server that was started anew has ended the connections of before
            try:
                return int(self.value(HEAD))
            except psycopg.OperationalError:
                self._leave()
        return 0

    def value(self, query: str, *values: object) -> Any:
        """Of the first row, if there is one."""
        if self._connection is None:
            self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=2, options=WAIT)
        row = self._connection.execute(query.encode(), values).fetchone()
        return row[0] if row else None

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
