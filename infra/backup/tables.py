"""Which tables a backup holds, and how their rows get out and in."""

from collections.abc import Iterable, Iterator

import psycopg
from msgspec import Struct
from psycopg import sql

NOT_KEPT = frozenset(
    {
        "log.snapshots",  # a cache of the log
        "work.queue",  # folded anew from the log; leases of before hold nothing now
        "work.shares",  # folded with it, as are the next four
        "work.suspended",
        "work.pools",
        "work.limits",
        "work.usage",
        "work.mails",  # whoever waits for one asks again; so do those who have one
        "work.mail_tokens",
        "work.attempts",  # all is forgiven
        "work.sign_ons",  # whoever is under way begins again
        "work.admissions",  # of requests that were under way
        "work.backends",  # executors say who they are
        "work.needs",  # folded anew with the queue
        "work.able",
        "work.projections",  # read models are built anew
        "work.rebuilds",  # of builds that are not kept
        "work.audits",  # what was found out about another machine's copy
        "work.uploads",  # nor are the files that they grow in: who sends one begins again
        "work.renditions",  # made anew when somebody asks for them
        "work.exports",  # their files are not in the backup: who wants one asks again
    }
)
"""Every other table of the schemas `log` and `work` is kept: one that nobody thought of is not lost."""

FOLDED_ANEW = ("dispatch",)
"""Checkpoints of what is not kept."""

_TABLES = """
SELECT n.nspname || '.' || c.relname, array_agg(a.attname ORDER BY a.attnum)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname IN ('log', 'work') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
GROUP BY 1 ORDER BY 1
"""
_REFERENCES = """
SELECT n.nspname || '.' || c.relname, rn.nspname || '.' || r.relname
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS r ON r.oid = k.confrelid JOIN pg_namespace AS rn ON rn.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
"""
_COUNTERS = """
SELECT n.nspname || '.' || c.relname, a.attname
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('log', 'work') AND c.relkind IN ('r', 'p')
    AND pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname) IS NOT NULL
    AND a.attnum > 0 AND NOT a.attisdropped
"""


class Table(Struct, frozen=True):
    """`name` with its schema."""

    name: str
    columns: tuple[str, ...]

    def identifier(self) -> sql.Identifier:
        return sql.Identifier(*self.name.split("."))

    def column_list(self) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, self.columns))


def kept(connection: psycopg.Connection) -> list[Table]:
    return [table for table in _all(connection) if table.name not in NOT_KEPT]


def rows_out(connection: psycopg.Connection, table: Table) -> Iterator[bytes]:
    """In PostgreSQL's binary form."""
    query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)")
    with (
        connection.cursor() as cursor,
        cursor.copy(query.format(table.column_list(), table.identifier())) as copy,
    ):
        for block in copy:
            yield bytes(block)


def rows_in(connection: psycopg.Connection, table: Table, blocks: Iterable[bytes]) -> int:
    """In place of what a migration has put there. Returns how many."""
    if _has_rows(connection, table):  # the log's tables refuse to be asked
        connection.execute(sql.SQL("DELETE FROM {}").format(table.identifier()))
    query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
    with connection.cursor() as cursor:
        with cursor.copy(query.format(table.identifier(), table.column_list())) as copy:
            for block in blocks:
                copy.write(block)
        return cursor.rowcount


def in_order(connection: psycopg.Connection, tables: Iterable[Table]) -> list[Table]:
    """Those that others refer to first."""
    left = {table.name: table for table in tables}
    needs: dict[str, set[str]] = {}
    for one, other in connection.execute(_REFERENCES).fetchall():
        needs.setdefault(one, set()).add(other)
    ordered: list[Table] = []
    while left:
        ready = [name for name in left if not needs.get(name, set()) & left.keys()] or list(left)
        ordered += [left.pop(name) for name in ready]
    return ordered


def count_on(connection: psycopg.Connection) -> None:
    """Let every counter go on behind the rows that are there."""
    for table, column in connection.execute(_COUNTERS).fetchall():
        query = sql.SQL(
            "SELECT setval(pg_get_serial_sequence(%s, %s), coalesce(max({}), 0) + 1, false) FROM {}"
        )
        connection.execute(
            query.format(sql.Identifier(column), sql.Identifier(*table.split("."))), (table, column)
        )


def filled(connection: psycopg.Connection) -> list[str]:
    """The tables with something in them that no migration has put there: what a restore would destroy."""
    seeds = {"log.identity", "work.checkpoints"}
    return [
        table.name for table in kept(connection) if table.name not in seeds and _has_rows(connection, table)
    ]


def _has_rows(connection: psycopg.Connection, table: Table) -> bool:
    row = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table.identifier())).fetchone()
    return bool(row and row[0])


def _all(connection: psycopg.Connection) -> list[Table]:
    return [Table(name, tuple(columns)) for name, columns in connection.execute(_TABLES).fetchall()]
