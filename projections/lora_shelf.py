"""The LoRA shelf: an account's own LoRAs, those that others share with it, and those that are public."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, LoraId
from domain.lora import (
    LoraDeleted,
    LoraDescribed,
    LoraEvent,
    LoraRenamed,
    LoraShared,
    LoraUnshared,
    LoraUploaded,
    graph_path,
)
from domain.refusals import FieldError, Invalid
from projections.paging import TIMED, bounded, page, shelved, timed
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one


class LoraRow(Struct, gc=False):
    """`revision`: the version of the shelf's stream at the last event about this LoRA."""

    id: UUID
    owner: AccountId
    name: str
    description: str
    file: str
    digest: str
    size_bytes: int
    base_model: str
    trigger_words: tuple[str, ...]
    rank: int
    dtype: str
    tensors: int
    public: bool
    shared_with: tuple[AccountId, ...]
    revision: int
    created_at: datetime
    updated_at: datetime


def _lora(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.event.lora,)


class GuestRow(Struct, gc=False):
    """One with whom a LoRA is shared; `updated_at` is that of the LoRA, so that what is shared with one is a list."""

    lora: UUID
    place: int
    account: AccountId
    updated_at: datetime


LORAS = Table("loras", LoraRow, ("id",), _lora)
GUESTS = Table("lora_guests", GuestRow, ("lora", "place"), _lora)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    loras, at, revision = buffer["loras"], recorded.at, recorded.version
    match recorded.event:
        case LoraUploaded() as uploaded:
            loras.put(_row(uploaded, at, revision))
        case LoraRenamed(lora=id, name=name):
            loras.change(id, name=name, revision=revision, updated_at=at)
        case LoraDescribed(lora=id, description=description):
            loras.change(id, description=description, revision=revision, updated_at=at)
        case LoraShared(lora=id, public=public, accounts=accounts):
            loras.change(id, public=public, shared_with=accounts, revision=revision, updated_at=at)
        case LoraUnshared(lora=id):
            loras.change(id, public=False, shared_with=(), revision=revision, updated_at=at)
        case LoraDeleted(lora=id):
            loras.remove(id)
        case _:
            pass
    _invite(recorded.event.lora, buffer)


def _invite(id: UUID, buffer: Buffer) -> None:
    guests, lora = buffer[GUESTS.name], buffer[LORAS.name].get(id)
    guests.remove_of(id)
    if lora is not None:
        for place, account in enumerate(each for each in lora.shared_with if each != lora.owner):
            guests.put(GuestRow(id, place, account, lora.updated_at))


def _row(uploaded: LoraUploaded, at: datetime, revision: int) -> LoraRow:
    summary = uploaded.summary
    return LoraRow(
        id=uploaded.lora,
        owner=uploaded.owner,
        name=uploaded.name,
        description=uploaded.description,
        file=uploaded.file,
        digest=uploaded.content.digest,
        size_bytes=uploaded.content.size_bytes,
        base_model=summary.base_model,
        trigger_words=summary.trigger_words,
        rank=summary.rank,
        dtype=summary.dtype,
        tensors=summary.tensors,
        public=False,
        shared_with=(),
        revision=revision,
        created_at=at,
        updated_at=at,
    )


LORA_SHELF = Projection(
    name="lora_shelf",
    version=2,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(LORAS, GUESTS),
    fold=fold,
    events=get_args(LoraEvent),
    reads=frozenset({"at", "version"}),
)

# Whom else it is shared with is its owner's business.
_LORA = """json_build_object('id', id, 'owner', owner, 'name', name, 'description', description, 'file', file,
    'graph_name', 'user-' || owner || '/' || file, 'sha256', digest, 'size_bytes', size_bytes,
    'base_model', base_model, 'trigger_words', trigger_words, 'rank', rank, 'dtype', dtype, 'tensors', tensors,
    'public', public,
    'shared_with', CASE WHEN owner = (SELECT read.viewer()) THEN shared_with ELSE '[]'::jsonb END,
    'revision', revision, 'created_at', created_at, 'updated_at', updated_at)"""


def shown(lora: LoraRow, viewer: AccountId | None) -> dict[str, Any]:
    """A row that is not in Postgres, as _LORA writes those that are."""
    fields = msgspec.structs.asdict(lora)
    fields["sha256"] = fields.pop("digest")
    fields["graph_name"] = graph_path(lora.owner, lora.file)
    return fields if viewer == lora.owner else fields | {"shared_with": ()}


_ONE = f"SELECT convert_to({_LORA}::text, 'UTF8') FROM read.loras WHERE id = %(id)s".encode()
_WANTED = "(%(base_model)s = '' OR base_model = %(base_model)s)"
# along the guests of LoRAs: the lists of all LoRAs themselves would have to be looked through
_SHARED = page(
    f"""SELECT {_LORA} AS item, updated_at AS at, id FROM (
        SELECT lora AS guest_of, updated_at AS guest_at FROM read.lora_guests
        WHERE account = %(account)s AND (updated_at, lora) < (%(at)s, %(after)s)
        ORDER BY updated_at DESC, lora DESC OFFSET 0
    ) AS guest CROSS JOIN LATERAL (SELECT * FROM read.loras WHERE id = guest.guest_of OFFSET 0) AS loras
    WHERE {_WANTED} ORDER BY guest.guest_at DESC, guest.guest_of DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_SHELVES = {
    "own": shelved("loras", _LORA, ("owner = %(account)s",), _WANTED),
    "shared": _SHARED,
    "public": shelved("loras", _LORA, ("public",), _WANTED),
}


_OTHERS = b"""
SELECT 'user-' || owner || '/' || file FROM read.loras
WHERE owner <> %(account)s AND (public OR shared_with @> to_jsonb(%(account)s::uuid::text))
ORDER BY updated_at DESC, id DESC LIMIT %(limit)s
"""


async def others(cursor: Cursor, account: AccountId, limit: int) -> list[str]:
    """As graphs name them: what others share with an account or with everybody, the last changed first."""
    await cursor.execute(_OTHERS, {"account": account, "limit": limit}, prepare=True)
    return [path for (path,) in await cursor.fetchall()]


async def lora(cursor: Cursor, id: LoraId) -> bytes | None:
    """One's own, one that is shared with one, or a public one."""
    return await one(cursor, _ONE, {"id": id})


async def loras(
    cursor: Cursor,
    account: AccountId,
    *,
    shelf: str = "own",
    base_model: str = "",
    limit: int = 20,
    after: str | None = None,
) -> bytes:
    """The last changed first. Raises Invalid."""
    if shelf not in _SHELVES:
        raise Invalid("There is no such shelf.", FieldError("shelf", "It is own, shared or public."))
    at, id = timed(after)
    values = {"account": account, "base_model": base_model, "at": at, "after": id, "limit": bounded(limit)}
    found = await one(cursor, _SHELVES[shelf], values)
    assert found is not None
    return found
