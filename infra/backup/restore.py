"""`comfyplus restore`: a backup into an empty system, in one transaction: all of it, verified, or nothing."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from time import monotonic
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct
from psycopg import sql
from rich.console import Console

from adapters.postgres.seals import PostgresSeals
from adapters.storage.erasures import ErasureFile
from commands.ports import ObjectsAwayError
from domain.ids import AccountId, Position
from domain.seal import Link
from infra.backup import crypt, manifest, objects, tables
from infra.backup.folder import Reading
from infra.backup.make import Say, fingerprint
from infra.backup.manifest import BackupError, Keys, Manifest, ObjectLine
from infra.embedded.child import ChildFailedError
from infra.embedded.lock import FolderTakenError
from infra.migrate import MIGRATIONS, ROLES, MigrationChangedError, apply
from infra.objects import Store, at_hand
from infra.operating import stopped_database
from infra.settings import Settings, audit_key_path, erasures_path, role_password
from services.auditing import verify

_OTHERS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'comfyplus\\_%'
"""
_BUILDS = "SELECT name || '_g' || generation FROM work.projections"


class Restored(Struct, frozen=True):
    """`missing`: files that the log refers to and nobody has."""

    manifest: Manifest
    erased: int
    missing: Sequence[ObjectLine]


def restore(
    settings: Settings,
    path: Path,
    passphrase: bytes | None,
    *,
    erasures: Path | None = None,
    no_erasures: bool = False,
) -> int:
    """Returns the exit code: 0 done, 1 not done, and then the system is as empty as before."""
    begun = monotonic()
    try:
        with Console(stderr=True).status("restore") as status:
            done = bring_back(
                settings, path, passphrase, erasures=erasures, no_erasures=no_erasures, say=status.update
            )
    except (
        *(BackupError, ChildFailedError, FolderTakenError, MigrationChangedError),
        *(ObjectsAwayError, psycopg.Error, OSError),
    ) as error:
        print(f"Nothing was restored. {error}", file=sys.stderr)
        return 1
    told = done.manifest
    print(
        f"The log is back up to position {told.position}, in {monotonic() - begun:.1f} s; every seal is good."
    )
    print(f"Seal {told.seal}")
    print(
        f"{done.erased} erased accounts were erased again."
        if done.erased
        else "No account had to be erased again."
    )
    if done.missing:
        listed = settings.data / "missing-objects.txt"
        print(
            f"{len(done.missing)} of {told.objects} files are missing, listed in {listed}:", file=sys.stderr
        )
        for line in done.missing[:20]:
            print(f"  {line.digest}  {line.size_bytes} bytes", file=sys.stderr)
    print("The read models and NATS's stream are made anew when the system starts.")
    return 0


def bring_back(
    settings: Settings,
    path: Path,
    passphrase: bytes | None,
    *,
    erasures: Path | None = None,
    no_erasures: bool = False,
    say: Say = lambda _: None,
) -> Restored:
    """Raises BackupError, ChildFailedError, FolderTakenError, MigrationChangedError, ObjectsAwayError, psycopg.Error,
    OSError."""
    with closing(Reading(path)) as reading:
        made = manifest.read(reading.manifest())
        _check_versions(made)
        erased = _erasures(settings, erasures, no_erasures=no_erasures)
        for part in made.parts:
            say(f"checking {part.name}")
            reading.check(part)
        key = _key(made, passphrase)
        keys = msgspec.json.decode(b"".join(reading.blocks(manifest.KEYS, key)), type=Keys)
        secret = _secret(settings, made, keys)
        with stopped_database(settings) as url, _connected(url) as connection:
            with connection.transaction():
                _clear(connection)
                _load(connection, made, reading, key, secret, say)
                _erase(connection, erased)
                say("verifying the seals")
                _verify(connection, url, made)
                _keep_keys(settings, keys)
                with at_hand(settings) as store:
                    missing = _bring_objects(store, made, reading, key, set(erased), say)
                _list_missing(settings, missing)
                _keep_erasures(settings, erased)
            say("statistics")
            connection.execute("ANALYZE")
    return Restored(made, len(erased), missing)


def _connected(url: str) -> psycopg.Connection:
    return psycopg.connect(url, connect_timeout=5, autocommit=True)


# --- before anything is touched


def _check_versions(made: Manifest) -> None:
    ours = {path.name for path in MIGRATIONS.glob("*.sql")}
    if unknown := sorted(made.migrations.keys() - ours):
        raise BackupError(
            f"It was made by a newer version of this program: {', '.join(unknown)} is not known here."
        )


def _erasures(settings: Settings, named: Path | None, *, no_erasures: bool) -> dict[AccountId, datetime]:
    """A list that is there counts, also for those who say that nobody was ever erased."""
    path = named or erasures_path(settings)
    if not path.is_file():
        if no_erasures and named is None:
            return {}
        raise BackupError(
            f"The list of erased accounts is not at {path}: people who have left would come back. "
            "Name it with --erasures, or say --no-erasures if nobody was ever erased."
        )
    return asyncio.run(ErasureFile(path).noted())


def _key(made: Manifest, passphrase: bytes | None) -> bytes | None:
    if made.encryption is None:
        return None
    if not passphrase:
        raise BackupError("It is encrypted: name the file with the passphrase by --passphrase-file.")
    return crypt.key(passphrase, made.encryption)


def _secret(settings: Settings, made: Manifest, keys: Keys) -> bytes:
    """The secret of the server that was backed up: without it no name, token or key is worth anything."""
    if settings.secret is not None:
        secret = settings.secret.encode()
    elif keys.secret is not None:
        secret = keys.secret.encode()
    else:
        raise BackupError("The server's secret was given as a setting: set COMFYPLUS_SECRET to the same one.")
    if fingerprint(secret) != made.secret:
        raise BackupError("COMFYPLUS_SECRET is not the secret of the server that was backed up.")
    return secret


# --- in the transaction


def _clear(connection: psycopg.Connection) -> None:
    """Make room in a database that holds nothing of anybody's. Raises BackupError for any other."""
    ((others,),) = connection.execute(_OTHERS).fetchall()
    if others:
        raise BackupError("Programs of ComfyUI Plus use the database: stop them first.")
    if connection.execute("SELECT to_regclass('public.migrations')").fetchone() == (None,):
        return
    if filled := tables.filled(connection):
        raise BackupError(f"The system is not empty: there is something in {', '.join(filled)}.")
    schemas = [name for (name,) in connection.execute(_BUILDS).fetchall()]
    for schema in (*schemas, "read", "work", "log"):
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
    connection.execute("DROP TABLE public.migrations")


def _load(
    connection: psycopg.Connection,
    made: Manifest,
    reading: Reading,
    key: bytes | None,
    secret: bytes,
    say: Say,
) -> None:
    """The tables as they were then, their rows, and then what this version changes about them."""
    passwords = {role: role_password(secret, role) for role in ROLES}
    apply(connection, passwords, only=made.migrations)
    parts = {part.table or "": part for part in made.parts if part.table}
    there = {table.name for table in tables.kept(connection)}
    if there != parts.keys():
        raise BackupError(f"It is not whole: {', '.join(sorted(there ^ parts.keys()))} should not differ.")
    copied = (tables.Table(name, part.columns) for name, part in parts.items())
    for table in tables.in_order(connection, copied):
        say(f"loading {table.name}")
        part = parts[table.name]
        rows = tables.rows_in(connection, table, reading.blocks(part.name, key))
        if rows != part.rows:
            raise BackupError(f"{table.name} has {rows} rows, not {part.rows}.")
    tables.count_on(connection)
    apply(connection, passwords)
    connection.execute(
        "UPDATE work.checkpoints SET position = 0 WHERE name = ANY (%s)", (list(tables.FOLDED_ANEW),)
    )
    connection.execute(
        "INSERT INTO log.ancestry (id, position, seal, restored_at) VALUES (%s, %s, %s, now())",
        (made.log, made.position, bytes.fromhex(made.seal)),
    )
    connection.execute("UPDATE log.identity SET id = gen_random_uuid()")


def _erase(connection: psycopg.Connection, erased: dict[AccountId, datetime]) -> None:
    for account in erased:
        connection.execute("SELECT work.erase_account(%s)", (account,))


def _verify(connection: psycopg.Connection, url: str, made: Manifest) -> None:
    """Every event, before anybody can see one."""
    log = PostgresSeals(url, connection)
    head = log.head()
    if made.position and head != Link(Position(made.position), bytes.fromhex(made.seal)):
        raise BackupError("The log in it does not end where the manifest says.")
    found = verify(log, Link(), head.position)
    if found.fault is not None:
        raise BackupError(f"The log in it is not what was sealed: {found.fault}")


# --- files, before the transaction ends: what is left of a restore that was killed is overwritten by the next


def _keep_keys(settings: Settings, keys: Keys) -> None:
    for path, text in ((settings.data / "secret", keys.secret), (audit_key_path(settings), keys.audit_key)):
        if text is None or (path.exists() and path.read_text().strip() == text):
            continue
        if path.exists():
            path.replace(path.with_name(f"{path.name}.before-restore"))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def _bring_objects(
    store: Store,
    made: Manifest,
    reading: Reading,
    key: bytes | None,
    erased: set[UUID],
    say: Callable[[str], None],
) -> list[ObjectLine]:
    """Put those in the backup into the store, but nothing that was an erased account's only.

    Returns what is missing.
    """
    inside = {part.name for part in made.parts}
    decode = msgspec.json.Decoder(ObjectLine).decode
    missing: list[ObjectLine] = []
    for text in b"".join(reading.blocks(manifest.OBJECTS, key)).splitlines():
        line = decode(text)
        if line.owners and erased.issuperset(line.owners):
            continue
        name = f"objects/{line.digest}"
        if not objects.is_there(store, line) and name in inside:
            say(f"file {line.digest}")
            objects.put(store, line, reading.blocks(name, key))
        if not objects.is_there(store, line):
            missing.append(line)
    return missing


def _list_missing(settings: Settings, missing: Sequence[ObjectLine]) -> None:
    listed = settings.data / "missing-objects.txt"
    listed.unlink(missing_ok=True)
    if missing:
        listed.write_text("".join(f"{line.digest} {line.size_bytes}\n" for line in missing))


def _keep_erasures(settings: Settings, erased: dict[AccountId, datetime]) -> None:
    """They stay erased, also when this system is backed up and restored one day."""
    if erased:
        own = ErasureFile(erasures_path(settings))

        async def note() -> None:
            for account, at in erased.items():
                await own.note(account, at)

        asyncio.run(note())
