"""Somebody with all rights to the database rewrites history: it is found, and the position is named."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from adapters.identity.signing import Ed25519Signer, is_signed
from adapters.postgres.seals import PostgresSeals
from domain.checkpoint import ChainLine, Checkpoint, Witness, header, line, signed, statement
from domain.ids import Position
from domain.seal import FaultKind, Link
from infra.offline import check_seals
from services.auditing import Verified, verify
from tests.log.conftest import postgres_logs
from tests.log.ground import entry, now, write
from tests.servers import Database

Owner = psycopg.Connection[Any]
EVENTS = 12
COMMITS = (1, 4, 1, 3, 2, 1)  # events of each
SIGNER = Ed25519Signer(bytes(range(32)))
COLUMNS = """originator_id, originator_version, topic, state, notification_id, recorded_at, owner, actor, correlation,
    causation"""
PLACING = ("notification_id", "recorded_at")  # a digest leaves them to the seal
SAID = [f"e.{name.strip()}" for name in COLUMNS.split(",") if name.strip() not in PLACING]
ROW = f"record_send(ROW({', '.join(SAID)}))"
SEAL_ANEW = f"""
DO $$
DECLARE each record; previous bytea := decode(repeat('00', 32), 'hex'); digested bytea;
BEGIN
    FOR each IN SELECT first_position, last_position, sealed_at FROM log.seals ORDER BY last_position LOOP
        SELECT string_agg(sha256({ROW}), '' ORDER BY e.notification_id) INTO digested FROM log.events AS e
        WHERE e.notification_id BETWEEN each.first_position AND each.last_position;
        previous := sha256(previous || timestamptz_send(each.sealed_at) || digested);
        UPDATE log.seals SET digests = digested, seal = previous WHERE last_position = each.last_position;
    END LOOP;
END $$
"""


@pytest.fixture
async def written(database: Database) -> Database:
    """A log of some commits, the last events of which are at positions 1, 5, 6, 9, 11, 12."""
    async with postgres_logs(database) as logs:
        for count in COMMITS:
            await logs.log.append(entry(*(write(uuid4(), 0) for _ in range(count))))
    return database


@pytest.fixture
def intruder(written: Database) -> Iterator[Owner]:
    """Owns the tables, and has put the triggers out of the way."""
    with closing(psycopg.connect(written.url, autocommit=True)) as owner:
        owner.execute("ALTER TABLE log.events DISABLE TRIGGER ALL")
        owner.execute("ALTER TABLE log.seals DISABLE TRIGGER ALL")
        yield owner


@pytest.fixture
def log(written: Database) -> Iterator[PostgresSeals]:
    with closing(PostgresSeals(written.url_of("comfyplus_app"))) as opened:
        yield opened


def verified(log: PostgresSeals, witness: Witness | None = None) -> Verified:
    return verify(log, Link(), log.head().position, witness=witness)


def at(position: int) -> str:
    return f"WHERE notification_id = {position}"


def test_a_log_that_nobody_touched_is_sound(log: PostgresSeals) -> None:
    found = verified(log)
    assert (found.fault, found.events, found.link) == (None, EVENTS, log.head())


def test_an_empty_log_is_sound(database: Database) -> None:
    with closing(PostgresSeals(database.url)) as log:
        assert verified(log) == Verified(Link(), 0, None)


def test_events_that_postgres_compresses_or_puts_aside_are_sealed_as_they_were_written(
    written: Database, log: PostgresSeals
) -> None:
    with closing(psycopg.connect(written.url, autocommit=True)) as owner:
        owner.execute(
            """SELECT log.append(array_agg(id), array_agg(1::bigint), array_agg('name.reserved.v1'::text),
                array_agg(state), array_agg(NULL::uuid), array_agg('somebody'::text), array_agg(id),
                array_agg(NULL::bigint), '{}', '{}', '{}', '{}', '{}', '{}')
            FROM (SELECT gen_random_uuid() AS id, convert_to(CASE WHEN n % 2 = 0 THEN repeat('x', n * 200) ELSE (
                SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, n * 6) AS m
            ) END, 'UTF8') AS state FROM generate_series(1, 300) AS n) AS made"""
        )
    assert verified(log) == Verified(log.head(), EVENTS + 300, None)


@pytest.mark.parametrize(
    "change",
    [
        "state = convert_to('{}', 'UTF8')",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "actor = 'somebody else'",
        "owner = gen_random_uuid()",
        "owner = NULL",
        "originator_id = gen_random_uuid()",
        "originator_version = 99",
        "topic = 'name.released.v1'",
        "correlation = gen_random_uuid()",
        "causation = 1",
    ],
)
@pytest.mark.parametrize("position", [1, 3, EVENTS])
def test_a_changed_event_is_found(intruder: Owner, log: PostgresSeals, change: str, position: int) -> None:
    intruder.execute(f"UPDATE log.events SET {change} {at(position)}".encode())
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (position, FaultKind.CHANGED)


@pytest.mark.parametrize("position", [1, 2, 6, EVENTS])
def test_a_deleted_event_is_found(intruder: Owner, log: PostgresSeals, position: int) -> None:
    intruder.execute(f"DELETE FROM log.events {at(position)}".encode())
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (position, FaultKind.MISSING)


@pytest.mark.parametrize("position", [EVENTS + 1, EVENTS + 100, 0, -7])
def test_an_inserted_event_is_found(intruder: Owner, log: PostgresSeals, position: int) -> None:
    intruder.execute(
        f"""INSERT INTO log.events ({COLUMNS})
        SELECT gen_random_uuid(), 1, topic, state, {position}, recorded_at, owner, actor, correlation, causation
        FROM log.events {at(3)}""".encode()
    )
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (position, FaultKind.UNSEALED)


def test_a_second_event_at_a_position_is_found(intruder: Owner, log: PostgresSeals) -> None:
    intruder.execute("DROP INDEX log.events_notification_id_idx")
    intruder.execute(
        f"""INSERT INTO log.events ({COLUMNS})
        SELECT gen_random_uuid(), 1, topic, state, 7, recorded_at, owner, actor, correlation, causation
        FROM log.events {at(7)}""".encode()
    )
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (7, FaultKind.UNSEALED)


@pytest.mark.parametrize("position", [2, 3, 7])
def test_an_event_that_takes_the_position_before_is_found(
    intruder: Owner, log: PostgresSeals, position: int
) -> None:
    intruder.execute("DROP INDEX log.events_notification_id_idx")
    intruder.execute(f"UPDATE log.events SET notification_id = {position} {at(position + 1)}".encode())
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (position, FaultKind.UNSEALED)


@pytest.mark.parametrize("position", [3, EVENTS])
def test_seals_of_the_first_form_are_followed_and_gone_on_from(
    intruder: Owner, log: PostgresSeals, position: int
) -> None:
    intruder.execute("DELETE FROM log.seals")
    intruder.execute("SELECT log.seal_the_rest()")
    intruder.execute(
        """SELECT log.append(ARRAY[gen_random_uuid()], '{1}', '{name.reserved.v1}', '{""}', '{NULL}', '{somebody}',
            ARRAY[gen_random_uuid()], '{NULL}', '{}', '{}', '{}', '{}', '{}', '{}')"""
    )
    assert verified(log) == Verified(log.head(), EVENTS + 1, None)
    for change in ("actor = 'somebody else'", "recorded_at = recorded_at + interval '1 microsecond'"):
        with intruder.transaction(force_rollback=True):
            intruder.execute(f"UPDATE log.events SET {change} {at(position)}".encode())
            fault = verify(PostgresSeals(log.url, intruder), Link(), log.head().position).fault
            assert fault is not None
            assert (fault.position, fault.kind) == (position, FaultKind.CHANGED)


@pytest.mark.parametrize(("one", "other"), [(2, 4), (1, EVENTS), (5, 6)])
def test_swapped_events_are_found(intruder: Owner, log: PostgresSeals, one: int, other: int) -> None:
    for old, new in ((one, 1000), (other, one), (1000, other)):
        intruder.execute(f"UPDATE log.events SET notification_id = {new} {at(old)}".encode())
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (one, FaultKind.SWAPPED)
    assert f"position {other} " in fault.detail


def test_renumbered_events_are_found(intruder: Owner, log: PostgresSeals) -> None:
    intruder.execute(f"DELETE FROM log.events {at(4)}".encode())
    intruder.execute("UPDATE log.events SET notification_id = -notification_id WHERE notification_id > 4")
    intruder.execute("UPDATE log.events SET notification_id = -notification_id - 1 WHERE notification_id < 0")
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (4, FaultKind.SWAPPED)
    assert "position 5 " in fault.detail


@pytest.mark.parametrize(
    ("change", "position", "kind"),
    [
        ("UPDATE log.seals SET seal = sha256(seal) WHERE last_position = 9", 7, FaultKind.SEAL_BROKEN),
        (
            "UPDATE log.seals SET digests = overlay(digests PLACING '\\x00' FROM 33) WHERE last_position = 9",
            8,
            None,
        ),
        (
            "UPDATE log.seals SET digests = substr(digests, 33) WHERE last_position = 9",
            7,
            FaultKind.SEAL_BROKEN,
        ),
        ("UPDATE log.seals SET first_position = 8 WHERE last_position = 9", 7, FaultKind.SEAL_MISSING),
        ("UPDATE log.seals SET first_position = 6 WHERE last_position = 9", 7, FaultKind.SEAL_BROKEN),
        ("UPDATE log.seals SET sealed_at = now() + interval '1 day' WHERE last_position = 9", 7, None),
        ("UPDATE log.seals SET form = 1 WHERE last_position = 9", 7, None),
        ("UPDATE log.seals SET form = 7 WHERE last_position = 9", 7, None),
        ("DELETE FROM log.seals WHERE last_position = 1", 1, FaultKind.SEAL_MISSING),
        ("DELETE FROM log.seals WHERE last_position = 9", 7, FaultKind.SEAL_MISSING),
        ("DELETE FROM log.seals WHERE last_position = 12", 12, FaultKind.UNSEALED),
        ("DELETE FROM log.seals", 1, FaultKind.UNSEALED),
        ("DELETE FROM log.events", 1, FaultKind.MISSING),
    ],
)
def test_a_seal_that_was_touched_is_found(
    intruder: Owner, log: PostgresSeals, change: str, position: int, kind: FaultKind | None
) -> None:
    intruder.execute(change.encode())
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (position, kind or FaultKind.SEAL_BROKEN)


def test_an_event_changed_together_with_its_digest_breaks_its_seal(
    intruder: Owner, log: PostgresSeals
) -> None:
    intruder.execute(f"UPDATE log.events SET actor = 'somebody else' {at(8)}".encode())
    intruder.execute(
        f"""UPDATE log.seals SET digests = (SELECT string_agg(sha256({ROW}), '' ORDER BY notification_id)
        FROM log.events AS e WHERE notification_id BETWEEN 7 AND 9) WHERE last_position = 9""".encode()
    )
    fault = verified(log).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (7, FaultKind.SEAL_BROKEN)


@pytest.mark.parametrize(
    ("first", "last", "found"), [(1, 6, False), (7, 9, True), (8, 8, True), (10, 12, False)]
)
def test_a_part_of_the_log_is_verified_by_itself(
    intruder: Owner, log: PostgresSeals, first: int, last: int, found: bool
) -> None:
    intruder.execute(f"UPDATE log.events SET actor = 'somebody else' {at(8)}".encode())
    part = verify(log, log.before(Position(first)), Position(last))
    assert (part.fault is not None) == found


# --- what only a witness from earlier can tell


def taken(log: PostgresSeals) -> Checkpoint:
    return signed(log.identity(), log.head(), now(), SIGNER)


def exported(log: PostgresSeals) -> list[bytes]:
    seals = log.seals(Position(0), log.head().position)
    return [header(log.identity()), *map(line, seals), msgspec.json.encode(taken(log)) + b"\n"]


def chain(lines: list[bytes]) -> Iterator[ChainLine]:
    return (msgspec.json.decode(text, type=ChainLine) for text in lines[1:-1])


def truncate(owner: Owner) -> None:
    owner.execute("DELETE FROM log.events WHERE notification_id > 9")
    owner.execute("DELETE FROM log.seals WHERE last_position > 9")


def rewrite(owner: Owner) -> None:
    owner.execute(f"UPDATE log.events SET actor = 'somebody else' {at(8)}".encode())
    owner.execute(SEAL_ANEW.encode())


def regroup(owner: Owner) -> None:
    """The same events, sealed anew, each by itself."""
    owner.execute("DELETE FROM log.seals")
    owner.execute(
        f"""INSERT INTO log.seals (first_position, last_position, sealed_at, digests, seal, form)
        SELECT notification_id, notification_id, recorded_at, sha256({ROW}), '', 2 FROM log.events AS e""".encode()
    )
    owner.execute(SEAL_ANEW.encode())


def seal_as_before(owner: Owner) -> None:
    """The same events, in seals of the first form."""
    owner.execute("DELETE FROM log.seals")
    owner.execute("SELECT log.seal_the_rest()")


@pytest.mark.parametrize(
    ("crime", "by_checkpoint", "by_chain"),
    [
        (truncate, (10, FaultKind.MISSING), (10, FaultKind.MISSING)),
        (rewrite, (EVENTS, FaultKind.REWRITTEN), (8, FaultKind.REWRITTEN)),
        (regroup, (EVENTS, FaultKind.REWRITTEN), (EVENTS, FaultKind.REWRITTEN)),
        (seal_as_before, (EVENTS, FaultKind.REWRITTEN), (1, FaultKind.REWRITTEN)),
    ],
)
def test_history_that_was_sealed_anew_is_found_by_who_kept_a_checkpoint(
    intruder: Owner,
    log: PostgresSeals,
    crime: Callable[[Owner], None],
    by_checkpoint: tuple[int, FaultKind],
    by_chain: tuple[int, FaultKind],
) -> None:
    kept = exported(log)
    checkpoint = taken(log)
    crime(intruder)
    assert verified(log).fault is None
    for witness, expected in (
        (Witness(checkpoint), by_checkpoint),
        (Witness(checkpoint, chain(kept)), by_chain),
    ):
        fault = verified(log, witness).fault
        assert fault is not None
        assert (fault.position, fault.kind) == expected


async def test_a_log_that_went_on_still_agrees_with_an_earlier_checkpoint(
    written: Database, log: PostgresSeals
) -> None:
    checkpoint, kept = taken(log), exported(log)
    async with postgres_logs(written) as logs:
        for _ in range(3):
            await logs.log.append(entry(write(uuid4(), 0)))
    for witness in (Witness(checkpoint), Witness(checkpoint, chain(kept))):
        assert verified(log, witness) == Verified(log.head(), EVENTS + 3, None)


# --- what others check without us


def test_the_small_checker_says_what_an_exported_chain_proves(log: PostgresSeals, tmp_path: Path) -> None:
    path = tmp_path / "seals"
    path.write_bytes(b"".join(exported(log)))
    said = check_seals.check(path, SIGNER.public_key)
    assert f"position {EVENTS} with the seal {log.head().seal.hex()}" in said
    path.write_bytes(msgspec.json.encode(taken(log)))
    assert "No chain" in check_seals.check(path, SIGNER.public_key)


@pytest.mark.parametrize("place", range(len(COMMITS) + 2))
def test_no_line_of_an_exported_chain_may_be_missing_or_another(
    log: PostgresSeals, tmp_path: Path, place: int
) -> None:
    lines, path = exported(log), tmp_path / "seals"
    forged = [lines[:place] + lines[place + 1 :], [*lines[: place + 1], *lines[place:]]]
    for name, value in json.loads(lines[place]).items():
        other = (
            value + 1 if isinstance(value, int) else f"0{value[1:]}" if value[:1] != "0" else f"1{value[1:]}"
        )
        changed = json.dumps(json.loads(lines[place]) | {name: other}).encode() + b"\n"
        forged.append([*lines[:place], changed, *lines[place + 1 :]])
    for attempt in forged:
        path.write_bytes(b"".join(attempt))
        with pytest.raises(check_seals.Wrong):
            check_seals.check(path, SIGNER.public_key)


def test_a_checkpoint_of_another_key_proves_nothing(log: PostgresSeals, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(msgspec.json.encode(signed(log.identity(), log.head(), now(), Ed25519Signer(bytes(32)))))
    check_seals.check(path)
    with pytest.raises(check_seals.Wrong, match="another key"):
        check_seals.check(path, SIGNER.public_key)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format": "comfyplus seals 1"}\n{']
)
def test_what_is_no_such_file_is_told_so(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    with pytest.raises(check_seals.Wrong):
        check_seals.check(path)


def test_a_signature_is_of_what_the_statement_says(log: PostgresSeals) -> None:
    made = taken(log)
    said = statement(made.log, made.position, made.seal, made.at)
    assert is_signed(said, made.signature, made.public_key)
    assert not is_signed(said + b" ", made.signature, made.public_key)
    assert not is_signed(said, "no signature", made.public_key)
