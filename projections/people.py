"""People: who has an account, in which role, and whether it is suspended. For administrators; to others, themselves."""

from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from domain.account import (
    AccountErased,
    AccountLoggedIn,
    AccountRegistered,
    AccountReinstated,
    AccountSuspended,
    Role,
    RoleGiven,
)
from domain.event import AnyRecorded
from domain.ids import AccountId
from domain.personal import DELETED_ACCOUNT
from domain.refusals import FieldError, Invalid
from projections.paging import TIMED, bounded, page, timed
from projections.projection import Buffer, Projection, Table, by_stream
from projections.reading import Cursor, one, planned_anew


class PersonRow(Struct, gc=False):
    """`name_key`: the name as it is searched for. `suspended_for`: the reason."""

    account: AccountId
    username: str
    name_key: str
    role: Role
    suspended_at: datetime | None
    suspended_for: str
    registered_at: datetime
    logged_in_at: datetime | None


PEOPLE = Table("people", PersonRow, ("account",), by_stream, begins=frozenset({AccountRegistered}))


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    people, id, at = buffer["people"], recorded.stream, recorded.at
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            people.put(PersonRow(account, name, name.lower(), Role.MEMBER, None, "", at, None))
        case AccountLoggedIn():
            people.change(id, logged_in_at=at)
        case RoleGiven(role=role):
            people.change(id, role=role)
        case AccountSuspended(reason=reason):
            people.change(id, suspended_at=at, suspended_for=reason)
        case AccountReinstated():
            people.change(id, suspended_at=None, suspended_for="")
        case AccountErased():
            people.remove(id)
        case _:
            pass


PEOPLE_HERE = Projection(
    name="people",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(PEOPLE,),
    fold=fold,
    events=(
        AccountRegistered,
        AccountLoggedIn,
        RoleGiven,
        AccountSuspended,
        AccountReinstated,
        AccountErased,
    ),
    reads=frozenset({"at"}),
    personal=True,
)

_PERSON = """json_build_object('id', account, 'username', username, 'role', role, 'suspended_at', suspended_at,
    'suspended_for', suspended_for, 'registered_at', registered_at, 'logged_in_at', logged_in_at)"""
_NEWEST = page(
    f"""SELECT {_PERSON} AS item, registered_at AS at, account AS id FROM read.people
    WHERE (registered_at, account) < (%(at)s, %(after)s)
        AND (%(role)s::text IS NULL OR role = %(role)s)
        AND (%(suspended)s::boolean IS NULL OR (suspended_at IS NOT NULL) = %(suspended)s)
    ORDER BY registered_at DESC, account DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_NAMED = page(
    f"""SELECT {_PERSON} AS item, name_key FROM read.people
    WHERE name_key COLLATE "C" >= %(begins)s AND name_key COLLATE "C" < %(begins)s || chr(1114111)
        AND name_key COLLATE "C" > %(after)s
        AND (%(role)s::text IS NULL OR role = %(role)s)
        AND (%(suspended)s::boolean IS NULL OR (suspended_at IS NOT NULL) = %(suspended)s)
    ORDER BY name_key COLLATE "C" LIMIT %(limit)s::int + 1""",
    "name_key",
)


async def newest(
    cursor: Cursor,
    limit: int,
    after: str | None = None,
    *,
    role: Role | None = None,
    suspended: bool | None = None,
) -> bytes:
    """Who has registered last comes first. Raises Invalid."""
    at, id = timed(after)
    parameters: dict[str, Any] = {"at": at, "after": id, "limit": bounded(limit)}
    await planned_anew(cursor)
    return await one(cursor, _NEWEST, parameters | {"role": role, "suspended": suspended}) or b""


async def named(
    cursor: Cursor,
    begins: str,
    limit: int,
    after: str | None = None,
    *,
    role: Role | None = None,
    suspended: bool | None = None,
) -> bytes:
    """Whose names begin so, in the order of the alphabet. Raises Invalid."""
    if not (begins.isprintable() and (after or "").isprintable()):
        raise Invalid("There is no such name.", FieldError("search", "No name holds such characters."))
    await planned_anew(cursor)
    parameters: dict[str, Any] = {"begins": begins.lower(), "after": after or "", "limit": bounded(limit)}
    return await one(cursor, _NAMED, parameters | {"role": role, "suspended": suspended}) or b""
