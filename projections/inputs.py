"""Inputs: the pictures that an account has uploaded."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, Digest, InputId
from domain.input import InputDeleted, InputEvent, InputStored
from domain.input_name import InputNamed
from projections.paging import TIMED, bounded, page, timed
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one


class InputRow(Struct, gc=False):
    id: UUID
    owner: AccountId
    digest: str
    name: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    uploaded_at: datetime


class InputNameRow(Struct, gc=False):
    """What a name stands for, as long as that picture is there."""

    id: UUID
    owner: AccountId
    type: str
    subfolder: str
    filename: str
    digest: str
    named_at: datetime


def _deleted(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is InputDeleted else ()


INPUTS = Table("inputs", InputRow, ("id",), _deleted)
NAMES = Table("input_names", InputNameRow, ("id",))


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    match recorded.event:
        case InputStored(owner=owner, digest=digest, name=name, media_type=media_type) as event:
            sizes = event.size_bytes, event.width, event.height
            row = InputRow(recorded.stream, owner, digest, name, media_type, *sizes, recorded.at)
            buffer["inputs"].put(row)
        case InputDeleted():
            buffer["inputs"].remove(recorded.stream)
        case InputNamed(owner=owner, type=type, subfolder=subfolder, filename=filename, digest=digest):
            named = InputNameRow(recorded.stream, owner, type, subfolder, filename, digest, recorded.at)
            buffer["input_names"].put(named)
        case _:
            pass


INPUT_SHELF = Projection(
    name="inputs",
    version=2,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(INPUTS, NAMES),
    fold=fold,
    events=(*get_args(InputEvent), InputNamed),
    reads=frozenset({"at"}),
)

_INPUT = """json_build_object('id', input.id, 'digest', input.digest, 'name', input.name,
    'media_type', input.media_type, 'size_bytes', input.size_bytes, 'width', input.width, 'height', input.height,
    'uploaded_at', input.uploaded_at)"""
_ONE = f"SELECT convert_to({_INPUT}::text, 'UTF8') FROM read.inputs AS input WHERE input.id = %(id)s".encode()
_OWN = page(
    f"""SELECT {_INPUT} AS item, input.uploaded_at AS at, input.id FROM read.inputs AS input
    WHERE input.owner = %(owner)s AND (input.uploaded_at, input.id) < (%(at)s, %(after)s)
    ORDER BY input.uploaded_at DESC, input.id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_NAMED = b"""
SELECT name.filename FROM read.input_names AS name
WHERE name.owner = %(owner)s AND name.type = %(type)s AND name.subfolder = %(subfolder)s
    AND EXISTS (
        SELECT FROM read.inputs AS input WHERE input.owner = name.owner AND input.digest = name.digest
            AND (%(kinds)s::text[] IS NULL OR split_part(input.media_type, '/', 1) || '/' = ANY (%(kinds)s))
    )
ORDER BY name.named_at DESC, name.filename LIMIT %(limit)s
"""
_IS_NAMED = b"SELECT FROM read.input_names WHERE owner = %(owner)s AND digest = %(digest)s LIMIT 1"
_COUNT = b"SELECT count(*) FROM read.inputs AS input WHERE input.owner = %(owner)s"


async def input(cursor: Cursor, id: InputId) -> bytes | None:
    """One of one's own."""
    return await one(cursor, _ONE, {"id": id})


async def own_inputs(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """An account's, the newest first. Raises Invalid."""
    at, id = timed(after)
    parameters: dict[str, Any] = {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _OWN, parameters) or b""


async def count(cursor: Cursor, owner: AccountId) -> int:
    await cursor.execute(_COUNT, {"owner": owner}, prepare=True)
    ((found,),) = await cursor.fetchall()
    return int(found)


async def is_named(cursor: Cursor, owner: AccountId, digest: Digest) -> bool:
    """Whether editors find it."""
    await cursor.execute(_IS_NAMED, {"owner": owner, "digest": digest}, prepare=True)
    return bool(await cursor.fetchall())


async def named(
    cursor: Cursor,
    owner: AccountId,
    limit: int,
    *,
    type: str = "input",
    subfolder: str = "",
    kinds: tuple[str, ...] | None = None,
) -> list[str]:
    """The names in one of an account's folders, the newest first. `kinds`: what media types begin with; None: all."""
    wanted = None if kinds is None else list(kinds)
    asked = {"owner": owner, "type": type, "subfolder": subfolder, "limit": limit, "kinds": wanted}
    await cursor.execute(_NAMED, asked, prepare=True)
    return [filename for (filename,) in await cursor.fetchall()]
