"""log_seal_cost: the share of what the log could take that sealing it costs.

Two databases in one server: the one as it is, and one whose `log.append` is the same but for the seals, and whose
appender makes no digests. The same commands as for log_vs_library, by as many writers, go to the one and to the other
in turns; the figure is one less the median of the rounds' ratios.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from urllib.parse import urlsplit, urlunsplit

import psycopg
import uvloop

from adapters.postgres import digests
from bench.figures import spread
from bench.log import MOST, WRITERS, append
from bench.row import Figure, Ground
from bench.servers import SECRET, Database, database
from infra.migrate import ROLES, migrate
from infra.settings import role_password

ROUNDS = 32  # short ones in turns: what else the machine does hits both sides alike
SECONDS = 0.75

FUNCTION = "SELECT pg_get_functiondef('log.append'::regproc)"
SEALS = (  # what the function does for them, and what it would do without
    (
        """SELECT s.last_position, s.sealed_at, s.seal INTO base, now_at, previous
    FROM log.seals AS s ORDER BY s.last_position DESC LIMIT 1;""",
        """SELECT e.notification_id, e.recorded_at INTO base, now_at
    FROM log.events AS e ORDER BY e.notification_id DESC LIMIT 1;""",
    ),
    (
        """, sealed AS (
                INSERT INTO log.seals (first_position, last_position, sealed_at, digests, seal, form)
                VALUES (base + 1, base + cardinality(streams), now_at, digests, sha256(
                    coalesce(previous, decode(repeat('00', 32), 'hex')) || timestamptz_send(now_at) || digests), 2)
            )""",
        "",
    ),
    ("octet_length(digests) <> 32 * cardinality(streams)", "false"),
)


def measure(ground: Ground) -> Mapping[str, Figure]:
    with database(ground.folder) as sealed:
        unsealed = _unsealed(sealed)
        seconds = ground.seconds(SECONDS)
        with_seals: list[float] = []
        without: list[float] = []

        def one_round(server: Database) -> float:
            return uvloop.run(append(server, WRITERS, seconds, round(MOST * seconds)))[0]

        for number in range(ground.rounds(ROUNDS)):
            if number % 2:
                with_seals.append(one_round(sealed))
            with _no_digests():
                without.append(one_round(unsealed))
            if not number % 2:
                with_seals.append(one_round(sealed))
    ratios = [one / other for one, other in zip(with_seals, without, strict=True)]
    said = f"commands/s with {WRITERS} writers: sealed {spread(with_seals)}, unsealed {spread(without)}"
    return {"log_seal_cost": Figure(1 - median(ratios), said)}


def _unsealed(server: Database) -> Database:
    """A second database in the same server, without seals."""
    with psycopg.connect(server.url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE unsealed")
    url = urlunsplit(urlsplit(server.url)._replace(path="/unsealed"))
    migrate(url, {role: role_password(SECRET, role) for role in ROLES})
    with psycopg.connect(url, autocommit=True) as owner:
        ((function,),) = owner.execute(FUNCTION).fetchall()
        for sealing, otherwise in SEALS:
            if sealing not in function:
                raise RuntimeError(f"log.append no longer seals as is known here: {sealing}")
            function = function.replace(sealing, otherwise)
        owner.execute(function.encode())
    return Database(url)


@contextmanager
def _no_digests() -> Iterator[None]:
    made = digests.digests
    digests.digests = lambda columns: b""
    try:
        yield
    finally:
        digests.digests = made
