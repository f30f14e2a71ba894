"""The template shelf: what accounts have made of their workflows; published ones are open to everybody."""

from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, WorkflowId
from domain.template import (
    TemplateCreated,
    TemplateDeleted,
    TemplateEvent,
    TemplatePublished,
    TemplateVersionSaved,
    TemplateWithdrawn,
)
from projections.paging import bounded, shelved, timed
from projections.projection import Buffer, Projection, Table, by_stream
from projections.reading import Cursor, one


class TemplateRow(Struct, gc=False):
    """`number`, and what follows: of the newest version. `revision`: the version of its stream."""

    id: UUID
    owner: AccountId
    public: bool
    name: str
    description: str
    category: str
    model_family: str
    max_batch_size: int
    requires_image: bool
    requires_mask: bool
    number: int
    document: str
    workflow: WorkflowId | None
    workflow_version: int
    revision: int
    created_at: datetime
    updated_at: datetime


TEMPLATES = Table("templates", TemplateRow, ("id",), by_stream, begins=frozenset({TemplateCreated}))


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    templates, id, at, revision = buffer["templates"], recorded.stream, recorded.at, recorded.version
    match recorded.event:
        case TemplateCreated(owner=owner):
            about = ("", "", "", "", 1, False, False)
            templates.put(TemplateRow(id, owner, False, *about, 0, "", None, 0, revision, at, at))
        case TemplateVersionSaved(about=about) as saved:
            templates.change(
                id,
                name=about.name,
                description=about.description,
                category=about.category,
                model_family=about.model_family,
                max_batch_size=about.max_batch_size,
                requires_image=about.requires_image,
                requires_mask=about.requires_mask,
                number=saved.number,
                document=saved.document.digest,
                workflow=saved.workflow,
                workflow_version=saved.workflow_version,
                revision=revision,
                updated_at=at,
            )
        case TemplatePublished():
            templates.change(id, public=True, revision=revision, updated_at=at)
        case TemplateWithdrawn():
            templates.change(id, public=False, revision=revision, updated_at=at)
        case TemplateDeleted():
            templates.remove(id)
        case _:
            pass


TEMPLATE_SHELF = Projection(
    name="template_shelf",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(TEMPLATES,),
    fold=fold,
    events=get_args(TemplateEvent),
    reads=frozenset({"at", "version"}),
)

_TEMPLATE = """json_build_object('id', id, 'owner', owner, 'public', public, 'name', name,
    'description', description, 'category', category, 'model_family', model_family,
    'supports_batch', max_batch_size > 1, 'max_batch_size', max_batch_size, 'requires_image', requires_image,
    'requires_mask', requires_mask)"""
_WANTED = """number > 0
    AND (%(category)s::text IS NULL OR category = %(category)s)
    AND (%(family)s::text IS NULL OR model_family = %(family)s)
    AND NOT EXISTS (
        SELECT FROM unnest(%(words)s::text[]) AS word
        WHERE position(word IN lower(name || ' ' || description)) = 0
    )"""
_OWN, _OTHERS = "owner = (SELECT read.viewer())", "public AND owner IS DISTINCT FROM (SELECT read.viewer())"
_LISTED = shelved("templates", _TEMPLATE, (_OWN, _OTHERS), _WANTED)
_OF_ONE = shelved("templates", _TEMPLATE, ("owner = %(owner)s",), _WANTED)


async def templates(
    cursor: Cursor,
    limit: int,
    after: str | None = None,
    *,
    owner: AccountId | None = None,
    category: str | None = None,
    family: str | None = None,
    text: str | None = None,
) -> bytes:
    """One's own and everybody's, the last changed first; of one owner where one is named. Raises Invalid."""
    at, id = timed(after)
    parameters: dict[str, Any] = {"at": at, "after": id, "limit": bounded(limit)}
    asked = {"owner": owner, "category": category, "family": family, "words": (text or "").lower().split()}
    return await one(cursor, _LISTED if owner is None else _OF_ONE, parameters | asked) or b""
