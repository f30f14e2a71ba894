"""manifest.json: what a backup holds and what it is of. It is written last and never encrypted."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

FORMAT = "comfyplus backup 1"
NAME = "manifest.json"
KEYS = "keys.json"
OBJECTS = "objects.ndjson"

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class BackupError(Exception):
    """The backup cannot be made, or not be used; the message says why."""


class Part(Struct, frozen=True, kw_only=True):
    """A file of the backup, as it lies there. `table` and `columns`: what it was copied from."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_./]*$")]
    sha256: Sha256
    size_bytes: int
    table: str | None = None
    columns: tuple[str, ...] = ()
    rows: int = 0


class Encryption(Struct, frozen=True, kw_only=True):
    """How the key is made of the passphrase: Argon2id. Parts are secretstreams of XChaCha20-Poly1305."""

    salt: str
    ops: int
    memory_bytes: int


class Manifest(Struct, frozen=True, kw_only=True):
    """`secret`: tells whether another server's secret is the same one, and nothing else about it."""

    format: str
    made_at: datetime
    version: str
    postgres: str
    migrations: dict[str, str]
    log: UUID
    position: int
    seal: str
    secret: str
    parts: tuple[Part, ...]
    objects: int
    objects_bytes: int
    with_objects: bool
    encryption: Encryption | None


class Keys(Struct, frozen=True, kw_only=True):
    """Those that lie in the data folder. One that comes from a setting is not in the backup."""

    secret: str | None
    audit_key: str | None


class ObjectLine(Struct, frozen=True, kw_only=True):
    """A file that the log refers to, and whose."""

    digest: Sha256
    size_bytes: int
    owners: tuple[UUID, ...]


def read(text: bytes) -> Manifest:
    """Raises BackupError."""
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BackupError(f"{NAME} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BackupError(f"The backup is of another format: {manifest.format!r}.")
    if any(".." in part.name for part in manifest.parts):
        raise BackupError("A part's name leads out of the backup.")
    return manifest
