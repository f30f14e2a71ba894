"""Shares: the links that an account has made and not revoked. Nobody else sees them here."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import get_args
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId
from domain.share import Kind, ShareEvent, ShareMade, ShareRevoked
from projections.paging import bounded, numbered, page
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one


class ShareRow(Struct, gc=False):
    """`subject`: a workflow, or the run of an output; then `node` and `index` say which."""

    id: UUID
    owner: AccountId
    kind: Kind
    subject: UUID
    node: str | None
    index: int | None
    made_at: datetime
    expires_at: datetime | None
    position: int


def _revoked(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is ShareRevoked else ()


SHARES = Table("shares", ShareRow, ("id",), _revoked)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    shares, id, at = buffer[SHARES.name], recorded.stream, recorded.at
    match recorded.event:
        case ShareMade(owner=owner, kind=kind, subject=subject, output=output, expires_at=expires_at):
            node, index = (None, None) if output is None else (output.node, output.index)
            shares.put(ShareRow(id, owner, kind, subject, node, index, at, expires_at, recorded.position))
        case ShareRevoked():
            shares.remove(id)
        case _:
            pass


SHARES_MADE = Projection(
    name="shares",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(SHARES,),
    fold=fold,
    events=get_args(ShareEvent),
    reads=frozenset({"at"}),
)

_OWN = page(
    """SELECT json_build_object('id', share.id, 'kind', share.kind, 'subject', share.subject, 'node', share.node,
        'index', share.index, 'made_at', share.made_at, 'expires_at', share.expires_at,
        'expired', coalesce(share.expires_at <= now(), false)) AS item, share.position
    FROM read.shares AS share WHERE share.owner = %(owner)s AND share.position < %(before)s
    ORDER BY share.position DESC LIMIT %(limit)s::int + 1""",
    "position::text",
)

_BEHIND_ALL = 2**62


async def own(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """The newest first. Raises Invalid."""
    asked = {"owner": owner, "limit": bounded(limit), "before": numbered(after, _BEHIND_ALL)}
    return await one(cursor, _OWN, asked) or b""
