"""log_vs_library, log_vs_pgbench, log_lone_vs_library: the append door beside two others, in one server.

A command is one `run.submitted` event of about 500 bytes on a stream of its own. Ours: `PostgresLog.append`, each
with its full envelope and an idempotency key, made beforehand, by 64 concurrent writers in one
process with uvloop. The library:
`PostgresApplicationRecorder.insert_events` with the same topic and state, by 16 threads with a connection each,
as it has no asynchronous door. pgbench: 16 clients, `-M prepared`, one INSERT of such a row in each commit, into
a table with the same columns and indexes but no order. The three take turns, in rounds; a figure is the median of
the rounds' ratios. Alone: one writer after the other's answer, the median time of a command.
"""

import asyncio
import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg
import uvloop
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.log import PostgresLog
from bench import stories
from bench.figures import ratio, spread
from bench.row import Figure, Ground
from bench.servers import Database, database, postgres_program
from domain.catalogue import CATALOGUE
from domain.event import topic
from infra.wiring import new_id

WRITERS = 64
THREADS = 16
CLIENTS = 16
ROUNDS = 4
SECONDS = 3.0
LONE_COMMANDS = 400
MOST = 50_000  # commands a second, made before the time begins

OWNER = stories.OWNERS[0]
EVENT = stories.submitted(OWNER)
STATE = CATALOGUE.encode(EVENT)

PGBENCH_TABLE = """
CREATE SCHEMA other;
CREATE TABLE other.events (LIKE log.events);
ALTER TABLE other.events ALTER COLUMN notification_id ADD GENERATED ALWAYS AS IDENTITY;
ALTER TABLE other.events ADD PRIMARY KEY (originator_id, originator_version);
CREATE UNIQUE INDEX ON other.events (notification_id);
"""
PGBENCH_SCRIPT = f"""
INSERT INTO other.events (originator_id, originator_version, topic, state, recorded_at, owner, actor, correlation)
VALUES (uuidv7(), 1, '{topic(EVENT)}', '\\x{STATE.hex()}', clock_timestamp(), '{OWNER}', '{OWNER}',
    '{uuid4()}');
"""


def measure(ground: Ground) -> Mapping[str, Figure]:
    with database(ground.folder) as server:
        library = Library(server)
        script = ground.folder / "insert.sql"
        script.write_text(PGBENCH_SCRIPT.replace("\n", " "))
        with psycopg.connect(server.url) as owner:
            owner.execute(PGBENCH_TABLE)
        ours, theirs, clients, our_ms, their_ms = [], [], [], [], []
        seconds = ground.seconds(SECONDS)
        for _ in range(ground.rounds(ROUNDS)):
            ours.append(uvloop.run(append(server, WRITERS, seconds, round(MOST * seconds)))[0])
            theirs.append(library.rate(THREADS, seconds))
            clients.append(_pgbench(server, script, seconds))
            our_ms.append(median(uvloop.run(append(server, 1, 1e9, LONE_COMMANDS))[1]) * 1000)
            their_ms.append(library.lone_ms(LONE_COMMANDS))
        library.close()
    state = f"{len(STATE)} B of state"
    said = f"commands/s: ours {spread(ours)} with {WRITERS} writers"
    return {
        "log_vs_library": Figure(
            ratio(ours, theirs), f"{said}, library {spread(theirs)} with {THREADS} threads; {state}"
        ),
        "log_vs_pgbench": Figure(
            ratio(ours, clients), f"{said}, pgbench {spread(clients)} with {CLIENTS} clients"
        ),
        "log_lone_vs_library": Figure(
            ratio(our_ms, their_ms),
            f"p50 of a lone command in ms: ours {spread(our_ms)}, library {spread(their_ms)}",
        ),
    }


async def append(server: Database, writers: int, seconds: float, most: int) -> tuple[float, list[float]]:
    """Commands a second, and how long each took."""
    url = server.of("comfyplus_app")
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        url, min_size=1, open=False, kwargs={"autocommit": True}
    )
    async with pool, PostgresLog(url, pool) as log:
        took: list[float] = []
        for _ in range(20):
            await log.append(stories.entry(new_id(), 0, EVENT, OWNER, keyed=True))
        entries = [stories.entry(new_id(), 0, EVENT, OWNER, keyed=True) for _ in range(most)]
        entries.reverse()  # taken from the end: ids come in the order in which they were made, as everybody's do
        begun = time.perf_counter()

        async def write() -> None:
            before = time.perf_counter()
            while before - begun < seconds and entries:
                await log.append(entries.pop())
                now = time.perf_counter()
                took.append(now - before)
                before = now

        await asyncio.gather(*(write() for _ in range(writers)))
        return len(took) / (time.perf_counter() - begun), took


class Library:
    """The eventsourcing library's own recorder, with a table of its own."""

    def __init__(self, server: Database) -> None:
        self._store = PostgresDatastore(
            dbname=server.name,
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password,
            pool_size=THREADS,
            schema="library",
        )
        with psycopg.connect(server.url) as owner:
            owner.execute("CREATE SCHEMA library")
        self._recorder = PostgresApplicationRecorder(self._store)
        self._recorder.create_table()

    def close(self) -> None:
        self._store.close()

    def rate(self, threads: int, seconds: float) -> float:
        """Commands a second."""
        done = [0] * threads
        begun = time.perf_counter()

        def write(number: int) -> None:
            while time.perf_counter() - begun < seconds:
                self._insert()
                done[number] += 1

        writers = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        return sum(done) / (time.perf_counter() - begun)

    def lone_ms(self, commands: int) -> float:
        """The median time of a command while nobody else writes."""
        took = []
        for _ in range(commands):
            begun = time.perf_counter()
            self._insert()
            took.append(time.perf_counter() - begun)
        return median(took) * 1000

    def _insert(self) -> None:
        self._recorder.insert_events([StoredEvent(new_id(), 1, topic(EVENT), STATE)])


def _pgbench(server: Database, script: Path, seconds: float) -> float:
    """Transactions a second."""
    argv = (
        *(postgres_program("pgbench"), "--no-vacuum", "-M", "prepared", "-c", str(CLIENTS), "-j", "2"),
        *("-T", str(max(1, round(seconds))), "-f", str(script), server.url),
    )
    done = subprocess.run(argv, capture_output=True, check=True, text=True, env=dict(os.environ))
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench did nothing.\n{done.stdout}{done.stderr}")
    return float(found[1])
