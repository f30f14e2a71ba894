"""Bring a database to the program's schema: login roles, then every migration that is not yet there.

Migrations are forward only, `NNNN_{pre|post}_what.sql`, each in a transaction of its own, one program at a time.
"""

import hashlib
import logging
from collections.abc import Container, Mapping
from pathlib import Path

import psycopg
from psycopg import sql

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
ROLES = ("comfyplus_app", "comfyplus_project", "comfyplus_query", "comfyplus_dispatch", "comfyplus_relay")
LOCK = 7262430

_LEDGER = """
CREATE TABLE IF NOT EXISTS public.migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationChangedError(Exception):
    """A migration that was already applied reads otherwise now. It must be put back and a new one added."""


def migrate(owner_url: str, passwords: Mapping[str, str] | None = None) -> list[str]:
    """Apply what is missing; returns the names applied. Without passwords the roles cannot log in by one.

    Raises MigrationChangedError, psycopg.Error.
    """
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        return apply(connection, passwords)


def apply(
    connection: psycopg.Connection,
    passwords: Mapping[str, str] | None = None,
    only: Container[str] | None = None,
) -> list[str]:
    """The same over an open connection, which may be in a transaction. `only`: the names that may be applied."""
    applied: list[str] = []
    for role in ROLES:
        _ensure_role(connection, role, (passwords or {}).get(role))
    connection.execute(_LEDGER)
    known = ledger(connection)
    for path in sorted(MIGRATIONS.glob("*.sql")):
        if only is not None and path.name not in only:
            continue
        text = path.read_text()
        digest = hashlib.sha256(text.encode()).hexdigest()
        if path.name in known:
            if known[path.name] != digest:
                raise MigrationChangedError(f"{path.name} was changed after it had been applied.")
            continue
        with connection.transaction():
            connection.execute(text.encode())
            connection.execute(
                "INSERT INTO public.migrations (name, sha256) VALUES (%s, %s)", (path.name, digest)
            )
        applied.append(path.name)
        logger.info("migration applied", extra={"migration": path.name})
    return applied


def ledger(connection: psycopg.Connection) -> dict[str, str]:
    """The names of the migrations that were applied, and the SHA-256 of each."""
    rows = connection.execute("SELECT name, sha256 FROM public.migrations ORDER BY name").fetchall()
    return dict(rows)


def _ensure_role(connection: psycopg.Connection, role: str, password: str | None) -> None:
    name = sql.Identifier(role)
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    try:
        with connection.transaction():
            if not exists:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        logger.debug("role was made by another program meanwhile")  # roles belong to the whole server
    if password is not None:
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)))
