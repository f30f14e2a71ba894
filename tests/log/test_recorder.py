"""The eventsourcing library's own recorder tests, run on our recorders as the owner of a scratch database.

Left out: AggregateRecorderTestCase on LogRecorder, as it wants an application's recorder to return no positions;
the tests of table creation (the migrations create) and of tracking (projections keep their own positions).
"""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, ProgrammingError, StoredEvent
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres.recorder import CatalogueMapper, LogRecorder, SnapshotRecorder, StreamEvent
from domain.reservation import RESERVATION, NameReleased, NameReserved, Reservation
from tests.log.ground import ANN, BOB
from tests.servers import Database

ADDRESS = ("dbname", "host", "port", "user", "password")


def parts(url: str) -> list[str]:
    named = conninfo_to_dict(url)
    return [str(named.get(name) or "") for name in ADDRESS]


def open_datastore(database: Database, schema: str = "log") -> PostgresDatastore:
    return PostgresDatastore(
        *parts(database.url), schema=schema, pool_size=4, max_overflow=12, connect_timeout=30
    )


@pytest.fixture
def datastore(database: Database) -> Iterator[PostgresDatastore]:
    with open_datastore(database) as opened:
        yield opened


class OnDatabase:
    datastore: PostgresDatastore

    @pytest.fixture(autouse=True)
    def given_datastore(self, datastore: PostgresDatastore) -> None:
        self.datastore = datastore


class TestLogRecorder(OnDatabase, ApplicationRecorderTestCase[LogRecorder]):
    def create_recorder(self) -> LogRecorder:
        return LogRecorder(self.datastore)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNotificationIdsDoNotInterleave(OnDatabase, NonInterleavingNotificationIDsBaseCase):
    insert_num = 200

    def create_recorder(self) -> LogRecorder:
        return LogRecorder(self.datastore)


class TestSnapshotRecorder(OnDatabase, AggregateRecorderTestCase):
    def create_recorder(self) -> SnapshotRecorder:
        return SnapshotRecorder(self.datastore)


def test_a_conflict_burns_no_position(datastore: PostgresDatastore) -> None:
    recorder, stream = LogRecorder(datastore), uuid4()
    assert recorder.insert_events([StoredEvent(stream, 1, "a", b"{}")]) == [1]
    for _ in range(3):
        with pytest.raises(IntegrityError):
            recorder.insert_events([StoredEvent(stream, 1, "a", b"{}")])
    assert recorder.insert_events([StoredEvent(stream, 2, "a", b"{}")]) == [2]


def test_several_streams_are_written_all_or_none(datastore: PostgresDatastore) -> None:
    recorder, first, second = LogRecorder(datastore), uuid4(), uuid4()
    recorder.insert_events([StoredEvent(second, 1, "a", b"{}")])
    with pytest.raises(IntegrityError):
        recorder.insert_events([StoredEvent(first, 1, "a", b"{}"), StoredEvent(second, 1, "a", b"{}")])
    assert recorder.select_events(first) == []
    mixed = [
        StoredEvent(first, 1, "a", b"{}"),
        StoredEvent(second, 2, "b", b"{}"),
        StoredEvent(first, 2, "c", b"{}"),
    ]
    assert recorder.insert_events(mixed) == [2, 3, 4]


def test_a_stream_is_not_continued_beyond_its_end(datastore: PostgresDatastore) -> None:
    with pytest.raises(IntegrityError):
        LogRecorder(datastore).insert_events([StoredEvent(uuid4(), 7, "a", b"{}")])


def test_the_envelope_is_recorded(datastore: PostgresDatastore) -> None:
    recorder, stream, correlation = LogRecorder(datastore), uuid4(), uuid4()
    recorder.insert_events(
        [StoredEvent(stream, 1, "a", b"{}")], owner=ANN, actor="admin", correlation=correlation, causation=7
    )
    with datastore.get_connection() as connection:
        row = connection.execute("SELECT owner, actor, correlation, causation FROM log.events").fetchone()
    assert row == {"owner": ANN, "actor": "admin", "correlation": correlation, "causation": 7}


def test_another_schema_is_refused(database: Database) -> None:
    with (
        open_datastore(database, schema="public") as elsewhere,
        pytest.raises(ProgrammingError, match="POSTGRES_SCHEMA"),
    ):
        LogRecorder(elsewhere)


def test_the_librarys_application_reads_and_writes_our_log(database: Database) -> None:
    environment = {
        **{
            f"POSTGRES_{name.upper()}": value
            for name, value in zip(ADDRESS, parts(database.url), strict=True)
        },
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_SCHEMA": "log",
        "APPLICATION_RECORDER_TOPIC": f"{LogRecorder.__module__}:{LogRecorder.__qualname__}",
        "MAPPER_TOPIC": f"{CatalogueMapper.__module__}:{CatalogueMapper.__qualname__}",
    }
    stream = uuid4()
    application = Application[UUID](environment)
    try:
        saved = application.save(
            StreamEvent(stream, 1, NameReserved(account=ANN)),
            StreamEvent(stream, 2, NameReleased(account=ANN)),
            StreamEvent(stream, 3, NameReserved(account=BOB)),
        )
        assert [each.notification.id for each in saved] == [1, 2, 3]
        assert [each.topic for each in application.notification_log.select(1, 10)][
            1
        ] == "reservation.name_released.v1"
        events = list(application.events.get(stream))
        assert RESERVATION.fold(Reservation(), [each.event for each in events]).holder == BOB  # type: ignore[attr-defined]
    finally:
        application.close()
