"""`comfyplus backup`: everything that cannot be made again, as it was at one moment, while the system works on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import msgspec
import psycopg
from psycopg import IsolationLevel
from rich.console import Console

from commands.ports import ObjectMissingError, ObjectsAwayError
from infra.backup import crypt, manifest, objects, tables
from infra.backup.folder import Writing
from infra.backup.manifest import BackupError, Keys, Manifest, ObjectLine, Part
from infra.embedded.child import ChildFailedError
from infra.migrate import ledger
from infra.objects import Store, at_hand
from infra.operating import owner_database
from infra.settings import Settings, audit_key_path, derive, load_secret
from infra.wiring import now

VERSION = "0.1.0"
_HEAD = "SELECT last_position, seal FROM log.seals ORDER BY last_position DESC LIMIT 1"

Say = Callable[[str], None]


def backup(settings: Settings, target: Path, passphrase: bytes | None, *, with_objects: bool) -> int:
    """Returns the exit code: 0 done, 1 not done, and then there is no backup."""
    begun = monotonic()
    try:
        with Console(stderr=True).status("backup") as status:
            made = make(settings, target, passphrase, with_objects=with_objects, say=status.update)
    except (BackupError, ChildFailedError, ObjectsAwayError, psycopg.Error, OSError) as error:
        print(f"No backup was made. {error}", file=sys.stderr)
        return 1
    size = sum(part.size_bytes for part in made.parts)
    print(
        f"{target}: the log up to position {made.position}, {size / 1e6:,.1f} MB, {monotonic() - begun:.1f} s."
    )
    print(f"Seal {made.seal}")
    print(
        f"{made.objects:,} files belong to it, {made.objects_bytes / 1e6:,.1f} MB: "
        + ("they are in it." if with_objects else "they are NOT in it, only their list is.")
    )
    print(
        "Everything is encrypted."
        if passphrase
        else "The server's keys are in it, NOT encrypted: guard it well."
    )
    print("The list of erased accounts is not in it: keep that one apart, a restore needs it.")
    return 0


def make(
    settings: Settings,
    target: Path,
    passphrase: bytes | None,
    *,
    with_objects: bool = False,
    say: Say = lambda _: None,
) -> Manifest:
    """Raises BackupError, ChildFailedError, ObjectsAwayError, psycopg.Error, OSError."""
    encryption = crypt.fresh() if passphrase else None
    key = crypt.key(passphrase, encryption) if passphrase and encryption else None
    with owner_database(settings) as url, Writing(target, key) as writing:
        with psycopg.connect(url, connect_timeout=5) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            ((log,),) = connection.execute("SELECT id FROM log.identity").fetchall()  # the moment of the copy
            made_at = now()
            parts = [_table(connection, table, writing, say) for table in tables.kept(connection)]
            say("files that the log refers to")
            lines = list(objects.referred(connection))
            head = connection.execute(_HEAD).fetchone() or (0, bytes(32))
            migrations = ledger(connection)
            postgres = str(connection.info.server_version)
        parts.append(writing.part(manifest.OBJECTS, (msgspec.json.encode(line) + b"\n" for line in lines)))
        parts.append(writing.part(manifest.KEYS, [msgspec.json.encode(_keys(settings))]))
        if with_objects:
            with at_hand(settings) as store:
                parts += _objects(store, lines, writing, say)
        made = Manifest(
            format=manifest.FORMAT,
            made_at=made_at,
            version=VERSION,
            postgres=postgres,
            migrations=migrations,
            log=log,
            position=head[0],
            seal=head[1].hex(),
            secret=fingerprint(load_secret(settings)),
            parts=tuple(parts),
            objects=len(lines),
            objects_bytes=sum(line.size_bytes for line in lines),
            with_objects=with_objects,
            encryption=encryption,
        )
        writing.finish(msgspec.json.format(msgspec.json.encode(made), indent=1))
    return made


def fingerprint(secret: bytes) -> str:
    return derive(secret, "fingerprint").hex()[:16]


def _table(connection: psycopg.Connection, table: tables.Table, writing: Writing, say: Say) -> Part:
    def told() -> Iterator[bytes]:
        done = 0
        for block in tables.rows_out(connection, table):
            done += len(block)
            say(f"{table.name} {done / 1e6:,.0f} MB")
            yield block

    part = writing.part(f"tables/{table.name}", told())
    count = connection.execute(
        b"SELECT count(*) FROM " + table.identifier().as_bytes(connection)
    ).fetchone() or (0,)
    return msgspec.structs.replace(part, table=table.name, columns=table.columns, rows=count[0])


def _keys(settings: Settings) -> Keys:
    """Those in the data folder; what settings give is the operator's to keep."""

    def held(path: Path) -> str | None:
        return path.read_text().strip() if path.exists() else None

    return Keys(
        secret=None if settings.secret else held(settings.data / "secret"),
        audit_key=None if settings.audit_key else held(audit_key_path(settings)),
    )


def _objects(store: Store, lines: list[ObjectLine], writing: Writing, say: Say) -> Iterator[Part]:
    """Those that are there: one that an erasure removed is not to come back."""
    for number, line in enumerate(lines, 1):
        say(f"files {number:,} of {len(lines):,}")
        with suppress(ObjectMissingError):
            yield writing.part(f"objects/{line.digest}", store.read(line.digest))
