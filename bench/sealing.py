"""log_seal_cost: the share of what the log could take that sealing it costs.

Two databases in one server: one with all migrations, one with those of before there were seals, whose `log.append`
is called in the same way. The same commands as for log_vs_library, by as many writers, go to the one and to the
other in turns; the figure is one less the median of the rounds' ratios.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit, urlunsplit

import psycopg
import uvloop

from bench.figures import spread
from bench.log import MOST, WRITERS, append
from bench.row import Figure, Ground
from bench.servers import SECRET, Database, database
from infra import migrate
from infra.settings import role_password

UNSEALED = "0004_pre_request_ids.sql"
ROUNDS = 32  # short ones in turns: what else the machine does hits both sides alike
SECONDS = 0.75


def measure(ground: Ground) -> Mapping[str, Figure]:
    with database(ground.folder) as sealed:
        unsealed = _unsealed(sealed)
        seconds = ground.seconds(SECONDS)
        with_seals: list[float] = []
        without: list[float] = []
        for number in range(ground.rounds(ROUNDS)):
            sides = [(sealed, with_seals), (unsealed, without)]
            for server, rates in sides if number % 2 else reversed(sides):
                rates.append(uvloop.run(append(server, WRITERS, seconds, round(MOST * seconds)))[0])
    ratios = [one / other for one, other in zip(with_seals, without, strict=True)]
    said = f"commands/s with {WRITERS} writers: sealed {spread(with_seals)}, unsealed {spread(without)}"
    return {"log_seal_cost": Figure(1 - median(ratios), said)}


def _unsealed(server: Database) -> Database:
    """A second database in the same server, as it was before there were seals."""
    with psycopg.connect(server.url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE unsealed")
    url = urlunsplit(urlsplit(server.url)._replace(path="/unsealed"))
    with _migrations_upto(UNSEALED):
        migrate.migrate(url, {role: role_password(SECRET, role) for role in migrate.ROLES})
    return Database(url)


@contextmanager
def _migrations_upto(last: str) -> Iterator[None]:
    everything = migrate.MIGRATIONS
    with tempfile.TemporaryDirectory() as folder:
        for path in everything.glob("*.sql"):
            if path.name <= last:
                (Path(folder) / path.name).write_text(path.read_text())
        migrate.MIGRATIONS = Path(folder)
        try:
            yield
        finally:
            migrate.MIGRATIONS = everything
