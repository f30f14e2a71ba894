"""Data folders with an embedded database in them, filled and looked at while nobody runs there."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from adapters.postgres.log import PostgresLog
from commands.ports import Entry, RequestKey, Write
from domain.event import Event
from domain.ids import AccountId, Actor, Digest, RunId
from domain.outcome import Output
from domain.run import OutputStored, RunClaimed, RunStarted, RunSubmitted
from domain.workflow import Content, Requirements
from infra.backup import tables
from infra.migrate import ROLES, migrate
from infra.operating import stopped_database
from infra.settings import Settings, load_audit_key, load_secret, role_password
from infra.wiring import pool
from tests.log.ground import ANN, BOB

GRAPH = b"a graph"
PICTURES = {ANN: b"ann's picture", BOB: b"bob's picture"}
SHARED = b"a picture of both"
OWN_IDENTITY = {"log.identity", "log.ancestry"}


def digest(body: bytes) -> Digest:
    return Digest(hashlib.sha256(body).hexdigest())


def settings_of(data: Path, **changes: Any) -> Settings:
    return Settings(data=data, log_level="warning", **changes)


@contextmanager
def owner(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with stopped_database(settings) as url, psycopg.connect(url, autocommit=True) as connection:
        yield connection


def migrated(settings: Settings) -> None:
    secret = load_secret(settings)
    with stopped_database(settings) as url:
        migrate(url, {role: role_password(secret, role) for role in ROLES})


async def fill(settings: Settings, runs: int = 20) -> None:
    """Runs of ann and bob with pictures, a document beside the log, and what working state knows of both."""
    load_audit_key(settings)
    with stopped_database(settings) as url:
        await _write(url, runs)
        with psycopg.connect(url, autocommit=True) as connection:
            working_state(connection)
    for body in (*PICTURES.values(), SHARED):
        store(settings.data, body)


async def append(settings: Settings, runs: int = 1) -> None:
    with stopped_database(settings) as url:
        await _write(url, runs)


async def _write(url: str, runs: int) -> None:
    async with pool(url) as connections, PostgresLog(url, connections) as log:
        for number in range(runs):
            await log.append(story((ANN, BOB)[number % 2], number))


def story(account: AccountId, number: int) -> Entry:
    run = RunId(uuid4())
    body = SHARED if number < 2 else PICTURES[account]
    image = Output("9", 0, "a.png", digest(body), len(body), "image/png", 8, 8, ())
    events: tuple[Event, ...] = (
        RunSubmitted(
            owner=account,
            workflow=run,  # type: ignore[arg-type]
            workflow_version=1,
            graph=Content(digest(GRAPH), len(GRAPH)),
            requirements=Requirements((), ()),
        ),
        RunClaimed(epoch=1, backend="gpu-1", executor="site-1"),
        RunStarted(epoch=1, backend="gpu-1"),
        OutputStored(epoch=1, output=image),
    )
    return Entry(
        writes=(Write(run, 0, events, account),),
        actor=Actor(str(account)),
        correlation=run,
        key=RequestKey(Actor(str(account)), uuid4().hex, bytes(32)),
    )


def working_state(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "INSERT INTO log.contents (digest, size_bytes, body) VALUES (%s, %s, %s)",
        (bytes.fromhex(digest(GRAPH)), len(GRAPH), b"packed"),
    )
    for account in (ANN, BOB):
        values = {
            "account": account,
            "name": f"n{account.int:x}",
            "token": account.bytes * 2,
            "key": bytes(48),
        }
        connection.execute(
            """INSERT INTO work.credentials (account, username, username_key, email, email_key, password_hash)
            VALUES (%(account)s, %(name)s, %(name)s, %(name)s, %(name)s, '$argon2id$')""",
            values,
        )
        connection.execute(
            """INSERT INTO work.refresh_tokens (token_hash, session, account, expires_at)
            VALUES (%(token)s, gen_random_uuid(), %(account)s, now() + interval '1 day')""",
            values,
        )
        connection.execute(
            "INSERT INTO work.account_keys (account, key) VALUES (%(account)s, %(key)s)", values
        )
    connection.execute(
        """INSERT INTO work.queue (run, version, owner, state, rank, not_before, graph, timeout_s, position)
        VALUES (gen_random_uuid(), 1, gen_random_uuid(), 'waiting', 1, now(), 'graph', 1, 1)"""
    )
    connection.execute("UPDATE work.checkpoints SET position = 7")


def store(data: Path, body: bytes) -> None:
    place = data / "objects" / digest(body)[:2] / digest(body)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(body)


def stored(data: Path) -> set[bytes]:
    return {path.read_bytes() for path in (data / "objects").glob("??/*")}


def rows(settings: Settings) -> dict[str, list[str]]:
    """All that a backup keeps, as text."""
    with owner(settings) as connection:
        found = {}
        for table in tables.kept(connection):
            query = f"SELECT t::text FROM {table.name} AS t ORDER BY 1"
            found[table.name] = [row for (row,) in connection.execute(query.encode()).fetchall()]
        return found


def is_empty(settings: Settings) -> bool:
    with owner(settings) as connection:
        there = connection.execute("SELECT to_regclass('log.events')").fetchone() != (None,)
        return not there or not tables.filled(connection)


def accounts_in(settings: Settings, table: str) -> set[UUID]:
    with owner(settings) as connection:
        return {account for (account,) in connection.execute(f"SELECT account FROM work.{table}".encode())}
