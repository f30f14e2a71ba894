"""The log with its seals, and what the audit has found."""

from collections.abc import Sequence
from threading import Lock
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row

from commands.ports import LogUnavailableError
from domain.ids import Position
from domain.seal import Fault, FaultKind, Link, Seal, SealedPage
from services.ports.sealing import Ancestor, Finding

IDENTITY = "SELECT id FROM log.identity"
ANCESTORS = "SELECT id, position, seal, restored_at FROM log.ancestry ORDER BY restored_at"
HEAD = "SELECT last_position, seal FROM log.seals ORDER BY last_position DESC LIMIT 1"
BEFORE = (
    "SELECT last_position, seal FROM log.seals WHERE last_position < %s ORDER BY last_position DESC LIMIT 1"
)
SEALS = """
SELECT first_position, last_position, timestamptz_send(sealed_at), digests, seal, form FROM log.seals
WHERE last_position > %s AND last_position <= %s ORDER BY last_position
"""
NEXT = """
SELECT first_position, last_position, timestamptz_send(sealed_at), digests, seal, form FROM log.seals
WHERE last_position > %s ORDER BY last_position LIMIT 1
"""
ROW = """pg_catalog.record_send(ROW(
    originator_id, originator_version, topic, state, notification_id, recorded_at, owner, actor, correlation, causation
))"""
RECORDS = f"""
SELECT {ROW} FROM log.events
WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id
"""
RECORD = f"SELECT {ROW} FROM log.events WHERE notification_id = %s LIMIT 1"
# One statement, so that it cannot see an event of a commit whose seal it does not see.
UNSEALED = """
SELECT (SELECT notification_id FROM log.events WHERE notification_id < 1 ORDER BY notification_id LIMIT 1),
    (SELECT notification_id FROM log.events
    WHERE notification_id > coalesce((SELECT max(last_position) FROM log.seals), 0)
    ORDER BY notification_id LIMIT 1),
    EXISTS (SELECT FROM log.events WHERE notification_id IS NULL)
"""
FINDINGS = """
SELECT name, position, seal, at, rounds, fault_position, fault_kind, fault_detail, fault_since FROM work.audits
"""
KEEP = """
INSERT INTO work.audits (name, position, seal, at, rounds, fault_position, fault_kind, fault_detail, fault_since)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET
    position = EXCLUDED.position, seal = EXCLUDED.seal, at = EXCLUDED.at, rounds = EXCLUDED.rounds,
    fault_position = EXCLUDED.fault_position, fault_kind = EXCLUDED.fault_kind,
    fault_detail = EXCLUDED.fault_detail, fault_since = EXCLUDED.fault_since
"""


class _Connected:
    """One connection, made when it is needed and again when it was lost. Threads take turns."""

    def __init__(self, url: str, connection: psycopg.Connection | None = None) -> None:
        """`connection`: one that is open already, perhaps in a transaction."""
        self.url = url
        self._connection = connection
        self._turn = Lock()
        self._closed = False

    def close(self) -> None:
        """For good: a thread that nobody waits for any more must not open it again."""
        with self._turn:
            self._closed = True
            if self._connection is not None:
                self._connection.close()

    def _fetch(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows, if the query has any."""
        try:
            with self._turn, self._opened().cursor(row_factory=tuple_row, binary=True) as cursor:
                cursor.execute(query.encode(), values, prepare=True)
                return cursor.fetchall() if cursor.description else []
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The log cannot be read at the moment.") from error

    def _opened(self) -> psycopg.Connection:
        if self._closed:
            raise psycopg.InterfaceError("closed")
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = psycopg.connect(self.url, autocommit=True, connect_timeout=5)
        return self._connection


class PostgresSeals(_Connected):
    """The SealedLog port."""

    def identity(self) -> UUID:
        ((identity,),) = self._fetch(IDENTITY)
        return UUID(str(identity))

    def ancestors(self) -> Sequence[Ancestor]:
        return [Ancestor(*row) for row in self._fetch(ANCESTORS)]

    def head(self) -> Link:
        return _link(self._fetch(HEAD))

    def before(self, position: Position) -> Link:
        return _link(self._fetch(BEFORE, (position,)))

    def page(self, link: Link, most: int) -> SealedPage:
        """Events are looked for after their seals: what is sealed is there."""
        seals = self.seals(link.position, Position(link.position + most)) or [
            Seal(*row) for row in self._fetch(NEXT, (link.position,))
        ]
        if not seals:
            return SealedPage((), ())
        end = min(seals[-1].last, link.position + sum(len(seal.digests) for seal in seals) // 32)
        return SealedPage(seals, [record for (record,) in self._fetch(RECORDS, (link.position, end))])

    def seals(self, after: Position, upto: Position) -> Sequence[Seal]:
        return [Seal(*row) for row in self._fetch(SEALS, (after, upto))]

    def unsealed(self) -> Position | None:
        ((stray, behind, nowhere),) = self._fetch(UNSEALED)
        if stray is not None or nowhere:
            return Position(stray or 0)
        return None if behind is None else Position(behind)

    def record(self, position: Position) -> bytes | None:
        rows = self._fetch(RECORD, (position,))
        return rows[0][0] if rows else None


class PostgresAudits(_Connected):
    """The Audits port."""

    def read(self) -> dict[str, Finding]:
        return {name: _finding(*rest) for name, *rest in self._fetch(FINDINGS)}

    def keep(self, name: str, finding: Finding) -> None:
        fault = finding.fault
        told = (fault.position, fault.kind, fault.detail, finding.since) if fault else (None,) * 4
        self._fetch(KEEP, (name, finding.link.position, finding.link.seal, finding.at, finding.rounds, *told))

    def forget(self) -> None:
        """Begin anew, as on the first day."""
        self._fetch("DELETE FROM work.audits")


def _link(rows: Sequence[Any]) -> Link:
    return Link(*rows[0]) if rows else Link()


def _finding(
    position: Position,
    seal: bytes,
    at: Any,
    rounds: int,
    fault_position: Position | None,
    fault_kind: str | None,
    fault_detail: str | None,
    since: Any,
) -> Finding:
    fault = None
    if fault_position is not None:
        fault = Fault(fault_position, FaultKind(fault_kind or ""), fault_detail or "")
    return Finding(link=Link(position, seal), at=at, rounds=rounds, fault=fault, since=since)
