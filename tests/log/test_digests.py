"""What an appender hashes is what PostgreSQL would have hashed."""

from contextlib import closing
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.postgres import arrays
from adapters.postgres.append import APPEND, encode, parameters
from adapters.postgres.digests import COLUMNS, digests
from domain.catalogue import CATALOGUE
from tests.log.ground import entry, write
from tests.servers import Database

HASHED = """
SELECT sha256(record_send(ROW(
    %s::uuid, %s::bigint, %s::text, %s::bytea, %s::uuid, %s::text, %s::uuid, %s::bigint
)))
"""


@pytest.mark.parametrize("owner", [None, uuid4()])
@pytest.mark.parametrize("causation", [None, 1, 2**63 - 1])
@pytest.mark.parametrize(
    ("actor", "state"), [("somebody", b"{}"), ("na\u00efve \U0001f511", b""), ("", b"\0" * 65535)]
)
def test_a_digest_is_that_of_the_record(
    database: Database, owner: UUID | None, causation: int | None, actor: str, state: bytes
) -> None:
    stream, correlation, version = uuid4(), uuid4(), 7
    with closing(psycopg.connect(database.url)) as connection:
        row = connection.execute(
            HASHED, (stream, version, "a.b.v1", state, owner, actor, correlation, causation)
        ).fetchone()
    values = (stream, version, "a.b.v1", state, owner, actor, correlation, causation)
    assert row == (digests([kind.elements([value]) for kind, value in zip(COLUMNS, values, strict=True)]),)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_there_is_a_digest_for_each_event_or_nothing_is_written(database: Database, count: int) -> None:
    *others, _ = parameters([encode(entry(write(uuid4(), 0), write(uuid4(), 0)), CATALOGUE)])
    with closing(psycopg.connect(database.url_of("comfyplus_app"), autocommit=True)) as connection:
        arrays.register(connection)
        with pytest.raises(psycopg.DataError):
            connection.execute(APPEND, (*others, bytes(32 * count)))
        assert connection.execute("SELECT count(*) FROM log.events").fetchone() == (0,)
