"""The synchronous door of the log: the eventsourcing library's recorders and mapper on our tables.

For tools, tests and admins. Reading, the notification log and `subscribe` are the library's own; appending goes
through log.append like everybody's. The tables are the migrations' to make, so the library makes none.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import IntegrityError, Mapper, ProgrammingError, StoredEvent, Tracking
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresApplicationRecorder, PostgresDatastore
from msgspec import Struct
from psycopg import Cursor
from psycopg.rows import DictRow, tuple_row

from adapters.postgres import arrays
from adapters.postgres.append import APPEND, Answer, Encoded, EncodedEvent, parameters
from domain.catalogue import CATALOGUE
from domain.event import Event, topic
from domain.ids import AccountId

SCHEMA = "log"
CHANNEL = "log_events"
KEEP = """
INSERT INTO log.snapshots (originator_id, originator_version, topic, state)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])
"""


class LogRecorder(PostgresApplicationRecorder):
    """The library's application recorder on log.events. Its datastore's schema must be `log`.

    `insert_events` takes owner, actor, correlation and causation as keywords; the library's own `tracking` is
    not for this log, as projections keep their positions beside their rows.
    """

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "events") -> None:
        """Any other table name that the library's factory makes up is ignored."""
        _check_schema(datastore)
        super().__init__(datastore, events_table_name="events")
        self.sql_create_statements.clear()
        self.channel_name = CHANNEL

    def create_table(self) -> None:
        """The migrations have done it."""

    def insert_events(
        self, stored_events: Sequence[StoredEvent], tracking: Tracking | None = None, **envelope: Any
    ) -> Sequence[int] | None:
        """Not retried as the library does: after a commit that was cut off, a retry meets its own events.

        Raises IntegrityError for streams that have moved on, OperationalError when the outcome is unknown.
        """
        if tracking is not None:
            raise ProgrammingError("The log does no tracking.")
        if not stored_events:
            return None
        command = _command(stored_events, **envelope)
        with self.datastore.get_connection() as connection:
            arrays.register(connection)
            with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
                row = cursor.execute(APPEND, parameters([command]), prepare=True).fetchone()
        assert row is not None
        answer = Answer(*row)
        if answer.refused():
            raise IntegrityError("Somebody else appended to the stream first.")
        return [answer.base + place for place in range(1, len(stored_events) + 1)]


class SnapshotRecorder(PostgresAggregateRecorder):
    """The library's recorder of snapshots on log.snapshots."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "snapshots") -> None:
        _check_schema(datastore)
        super().__init__(datastore, events_table_name="snapshots")
        self.sql_create_statements.clear()

    def create_table(self) -> None:
        """The migrations have done it."""

    def _insert_stored_events(
        self, curs: Cursor[DictRow], stored_events: Sequence[StoredEvent], **_: Any
    ) -> None:
        curs.execute(
            KEEP,
            (
                [each.originator_id for each in stored_events],
                [each.originator_version for each in stored_events],
                [each.topic for each in stored_events],
                [each.state for each in stored_events],
            ),
        )


class StreamEvent(Struct, frozen=True):
    """One of our events in the shape in which the library passes events about."""

    originator_id: UUID
    originator_version: int
    event: Event


class CatalogueMapper(Mapper[UUID]):
    """Reads and writes by the catalogue: topics are tags, old ones are upcast. For the library's MAPPER_TOPIC."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        assert isinstance(domain_event, StreamEvent)
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=topic(domain_event.event),
            state=CATALOGUE.encode(domain_event.event),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> StreamEvent:
        return StreamEvent(
            UUID(str(stored_event.originator_id)),
            stored_event.originator_version,
            CATALOGUE.decode(stored_event.topic, stored_event.state),
        )


def _check_schema(datastore: PostgresDatastore) -> None:
    if datastore.schema != SCHEMA:
        raise ProgrammingError(f"The log is in the schema {SCHEMA!r}; set POSTGRES_SCHEMA to that.")


def _command(
    stored_events: Sequence[StoredEvent],
    *,
    owner: AccountId | None = None,
    actor: str = "tool",
    correlation: UUID | None = None,
    causation: int | None = None,
) -> Encoded:
    """Each stream is expected to end where its first new event begins, and the others must follow that one."""
    events: list[EncodedEvent] = []
    expected: dict[UUID, int] = {}
    newest: dict[UUID, int] = {}
    for each in stored_events:
        stream, version = UUID(str(each.originator_id)), each.originator_version
        before = newest.get(stream, version - 1)
        if version != before + 1:
            raise IntegrityError("The versions of a stream must follow one another.")
        expected.setdefault(stream, before)
        newest[stream] = version
        events.append((stream, version, each.topic, each.state, owner))
    return Encoded(events, list(expected.items()), actor, correlation or events[0][0], causation)
