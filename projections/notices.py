"""Notices: what an account hears of, the newest first, and what of it is unread. Nobody sees another one's."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid5

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, notices_id
from domain.notice import Kind, NoticeEvent, NoticeGiven, NoticeMailSet, NoticeRead, NoticesRead
from projections.paging import bounded, numbered, page
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one

MOST_COUNTED = 1_000  # unread ones: who has more knows enough


class NoticeRow(Struct, gc=False):
    """`position`: of the last event that it tells of; up to `read_upto` it was read by itself."""

    id: UUID
    account: AccountId
    kind: Kind
    by: AccountId | None
    workflow: UUID | None
    comment: UUID | None
    output: UUID | None
    count: int
    reason: str
    position: int
    at: datetime
    read_upto: int = 0


class ReaderRow(Struct, gc=False):
    account: AccountId
    upto: int
    mail: bool


def _id(given: NoticeGiven, at: datetime) -> UUID:
    """Likes of one thing are one notice a day."""
    told = f"{given.workflow or given.output} {at:%Y-%m-%d}" if given.kind is Kind.LIKED else str(given.cause)
    return uuid5(notices_id(given.account), told)


def _notice(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case NoticeGiven() as given if given.kind is Kind.LIKED:
            return (_id(given, recorded.at),)
        case NoticeRead(notice=notice):
            return (notice,)
        case _:
            return ()


def _reader(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case NoticesRead(account=account) | NoticeMailSet(account=account):
            return (account,)
        case _:
            return ()


NOTICE_ROWS = Table("notices", NoticeRow, ("id",), _notice)
READERS = Table("notice_readers", ReaderRow, ("account",), _reader)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    notices, readers = buffer[NOTICE_ROWS.name], buffer[READERS.name]
    match recorded.event:
        case NoticeGiven() as given:
            _give(given, recorded, buffer)
        case NoticeRead(notice=notice, upto=upto):
            notices.change(notice, read_upto=upto)
        case NoticesRead(account=account, upto=upto):
            row = readers.get(account)
            readers.put(ReaderRow(account, upto, row is not None and row.mail))
        case NoticeMailSet(account=account, wanted=wanted):
            row = readers.get(account)
            readers.put(ReaderRow(account, 0 if row is None else row.upto, wanted))
        case _:
            pass


def _give(given: NoticeGiven, recorded: AnyRecorded, buffer: Buffer) -> None:
    notices, id = buffer[NOTICE_ROWS.name], _id(given, recorded.at)
    if given.kind is Kind.LIKED and (row := notices.edit(id)):
        row.count += given.count
        row.position, row.at = recorded.position, recorded.at
        return
    notices.put(
        NoticeRow(
            id=id,
            account=given.account,
            kind=given.kind,
            by=given.by,
            workflow=given.workflow,
            comment=given.comment,
            output=given.output,
            count=given.count,
            reason=given.reason,
            position=recorded.position,
            at=recorded.at,
        )
    )


NOTICES_GIVEN = Projection(
    name="notices",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(NOTICE_ROWS, READERS),
    fold=fold,
    events=get_args(NoticeEvent),
    reads=frozenset({"at"}),
)

_READ = """notice.position <= greatest(notice.read_upto, (
    SELECT coalesce(max(reader.upto), 0) FROM read.notice_readers AS reader WHERE reader.account = %(account)s
))"""


def _page(condition: str) -> bytes:
    return page(
        f"""SELECT json_build_object('id', notice.id, 'kind', notice.kind, 'by', coalesce(
                (SELECT name.username FROM read.comment_speakers AS name WHERE name.account = notice.by),
                (SELECT name.username FROM read.follow_counts AS name WHERE name.account = notice.by), ''
            ), 'count', notice.count, 'reason', notice.reason, 'at', notice.at, 'read', {_READ},
            'position', notice.position,
            'workflow', (
                SELECT json_build_object('id', it.id, 'name', it.name)
                FROM read.workflows AS it WHERE it.id = notice.workflow
            ), 'comment', (
                SELECT json_build_object('id', said.id, 'text', said.text)
                FROM read.comments AS said WHERE said.id = notice.comment
            ), 'output', (
                SELECT json_build_object('id', shown.id, 'name', shown.name)
                FROM read.shared_outputs AS shown WHERE shown.id = notice.output
            )) AS item, notice.position
        FROM read.notices AS notice
        WHERE notice.account = %(account)s AND notice.position < %(before)s{condition}
        ORDER BY notice.position DESC LIMIT %(limit)s::int + 1""",
        "position::text",
    )


_UPTO = """(
    SELECT coalesce(max(reader.upto), 0) FROM read.notice_readers AS reader WHERE reader.account = %(account)s
)"""
# what was read altogether is passed over, and only what was read one by one looked at
_NEW = f" AND notice.position > {_UPTO} AND NOT notice.position <= notice.read_upto"
_ALL, _UNREAD = _page(""), _page(_NEW)
_STANDING = f"""SELECT convert_to(json_build_object('unread', (
    SELECT count(*) FROM (
        SELECT FROM read.notices AS notice WHERE notice.account = %(account)s{_NEW}
        LIMIT {MOST_COUNTED}
    ) AS unread
), 'mail', (
    SELECT coalesce(bool_or(reader.mail), false) FROM read.notice_readers AS reader
    WHERE reader.account = %(account)s
))::text, 'UTF8')""".encode()
_NEWEST = b"SELECT max(position) FROM read.notices WHERE account = %(account)s"
_PLACE = b"SELECT position FROM read.notices WHERE account = %(account)s AND id = %(id)s"

_BEHIND_ALL = 2**62


async def of(
    cursor: Cursor, account: AccountId, limit: int, after: str | None = None, *, unread: bool = False
) -> bytes:
    """The newest first; only those that are unread, if that is asked. Raises Invalid."""
    asked: dict[str, Any] = {
        "account": account,
        "limit": bounded(limit),
        "before": numbered(after, _BEHIND_ALL),
    }
    return await one(cursor, _UNREAD if unread else _ALL, asked) or b""


async def standing(cursor: Cursor, account: AccountId) -> bytes:
    """How many are unread, and whether they are mailed."""
    return await one(cursor, _STANDING, {"account": account}) or b""


async def newest(cursor: Cursor, account: AccountId) -> int:
    """The position of the newest; 0 where there is none."""
    await cursor.execute(_NEWEST, {"account": account}, prepare=True)
    row = await cursor.fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


async def place(cursor: Cursor, account: AccountId, id: UUID) -> int | None:
    """The position of one of them."""
    await cursor.execute(_PLACE, {"account": account, "id": id}, prepare=True)
    row = await cursor.fetchone()
    return None if row is None else int(row[0])
