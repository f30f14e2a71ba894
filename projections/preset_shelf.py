"""The preset shelf: named values of accounts; published ones are open to everybody."""

from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId
from domain.preset import (
    PresetCreated,
    PresetDeleted,
    PresetEvent,
    PresetPublished,
    PresetSaved,
    PresetWithdrawn,
)
from projections.paging import bounded, shelved, timed
from projections.projection import Buffer, Projection, Table, by_stream
from projections.reading import Cursor, one


class PresetRow(Struct, gc=False):
    """`document`: the digest of its values. `revision`: the version of its stream."""

    id: UUID
    owner: AccountId
    public: bool
    name: str
    description: str
    template: str | None
    document: str
    revision: int
    created_at: datetime
    updated_at: datetime


PRESETS = Table("presets", PresetRow, ("id",), by_stream, begins=frozenset({PresetCreated}))


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    presets, id, at, revision = buffer["presets"], recorded.stream, recorded.at, recorded.version
    match recorded.event:
        case PresetCreated(owner=owner):
            presets.put(PresetRow(id, owner, False, "", "", None, "", revision, at, at))
        case PresetSaved(name=name, description=description, template=template, document=document):
            presets.change(
                id,
                name=name,
                description=description,
                template=template,
                document=document.digest,
                revision=revision,
                updated_at=at,
            )
        case PresetPublished():
            presets.change(id, public=True, revision=revision, updated_at=at)
        case PresetWithdrawn():
            presets.change(id, public=False, revision=revision, updated_at=at)
        case PresetDeleted():
            presets.remove(id)
        case _:
            pass


PRESET_SHELF = Projection(
    name="preset_shelf",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(PRESETS,),
    fold=fold,
    events=get_args(PresetEvent),
    reads=frozenset({"at", "version"}),
)

_PRESET = """json_build_object('id', id, 'owner', owner, 'public', public, 'name', name,
    'description', description, 'template', template, 'revision', revision, 'created_at', created_at,
    'updated_at', updated_at)"""
_WANTED = """document <> ''
    AND (%(template)s::text IS NULL OR template IS NULL OR template = %(template)s)"""
_OWN, _OTHERS = "owner = (SELECT read.viewer())", "public AND owner IS DISTINCT FROM (SELECT read.viewer())"
_LISTED = shelved("presets", _PRESET, (_OWN, _OTHERS), _WANTED)
_OF_ONE = shelved("presets", _PRESET, ("owner = %(owner)s",), _WANTED)


async def presets(
    cursor: Cursor,
    limit: int,
    after: str | None = None,
    *,
    owner: AccountId | None = None,
    template: str | None = None,
) -> bytes:
    """One's own and everybody's, the last changed first; those that a template may be run with. Raises Invalid."""
    at, id = timed(after)
    parameters: dict[str, Any] = {"at": at, "after": id, "limit": bounded(limit)}
    parameters |= {"owner": owner, "template": template}
    return await one(cursor, _LISTED if owner is None else _OF_ONE, parameters) or b""
