"""Who follows whom, and what they hear of."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.account import AccountErased
from domain.comment import CommentPosted
from domain.follow import FollowBegun, FollowEnded
from domain.ids import AccountId, CommentId, Digest, RunId, WorkflowId, follow_id, output_id
from domain.outcome import Output
from domain.place import OutputPlace
from domain.shared_output import OutputHidden, OutputPublished
from domain.workflow import WorkflowCreated, WorkflowPublished, WorkflowWithdrawn
from projections import feed, follows
from projections.follows import FOLLOWS, FollowCountsRow
from projections.rebuild import rebuild
from tests.projections.ground import PROJECTIONS, Books, connecting, folded, reading
from tests.projections.stories import ANN, BOB, Told, joined
from tests.servers import Database

EVE = AccountId(UUID(int=0xE))
SHOWN, SECRET = WorkflowId(UUID(int=0xF1)), WorkflowId(UUID(int=0xF2))


def followed(follower: AccountId, account: AccountId) -> Told:
    return follow_id(follower, account), follower, FollowBegun(follower=follower, followed=account)


def published(workflow: WorkflowId, name: str) -> list[Told]:
    created = WorkflowCreated(owner=ANN, name=name)
    return [(workflow, ANN, created), (workflow, ANN, WorkflowPublished())]


def commented(number: int, by: AccountId, workflow: WorkflowId, *mentions: AccountId) -> Told:
    said = CommentPosted(owner=by, workflow=workflow, text=f"comment {number}", mentions=mentions)
    return CommentId(UUID(int=0xC000 + number)), by, said


def test_followers_are_counted_on_both_sides() -> None:
    events = [(stream, event) for stream, _, event in (followed(BOB, ANN), followed(EVE, ANN))]
    over = follow_id(EVE, ANN), FollowEnded(follower=EVE, followed=ANN)
    names = [(ANN, joined(ANN, "ann")[2]), (BOB, joined(BOB, "bob")[2])]
    tables = folded(FOLLOWS, *names, *events, over, (BOB, AccountErased()))
    assert [row.follower for row in tables["follows"]] == [BOB]
    assert {(row.account, row.followers, row.following) for row in tables["follow_counts"]} == {
        (ANN, 1, 0),
        (BOB, 0, 1),
    }
    assert FollowCountsRow(BOB, "deleted account", 0, 1) in tables["follow_counts"]


async def told(database: Database, books: Books, *stories: Told) -> None:
    books.add(joined(ANN, "ann"), joined(BOB, "bob"), joined(EVE, "eve"), *stories)
    for name in ("follows", "feed", "comments", "gallery", "shared_outputs"):
        await rebuild(PROJECTIONS[name], connecting(database))


async def heard(database: Database, account: AccountId, limit: int = 10) -> list[dict[str, Any]]:
    """Page by page."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    async with reading(database) as reader, reader.for_account(account) as cursor:
        while True:
            page = msgspec.json.decode(await feed.of(cursor, account, limit, after), type=dict[str, Any])
            found += page["items"]
            if (after := page["next_cursor"]) is None:
                return found


def kinds(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(entry["kind"], entry["by"]) for entry in entries]


async def test_one_hears_of_those_one_follows_of_oneself_and_where_one_is_named(
    database: Database, books: Books
) -> None:
    stories = [
        followed(BOB, ANN),
        *published(SHOWN, "Foxes"),
        commented(1, EVE, SHOWN),
        commented(2, EVE, SHOWN, BOB),
        commented(3, ANN, SHOWN, BOB, ANN),
        commented(4, BOB, SHOWN),
    ]
    await told(database, books, *stories)
    expected = [("commented", "bob"), ("mentioned", "ann"), ("mentioned", "eve"), ("published", "ann")]
    for limit in (1, 2, 10):
        assert kinds(await heard(database, BOB, limit)) == expected
    newest = (await heard(database, BOB))[0]
    assert (newest["yours"], newest["workflow"]["name"]) == (True, "Foxes")
    assert newest["comment"]["text"] == "comment 4"
    assert kinds(await heard(database, ANN)) == [
        ("commented", "ann"),
        ("published", "ann"),
        ("followed", "bob"),
    ]
    assert kinds(await heard(database, EVE)) == [("commented", "eve"), ("commented", "eve")]


async def test_one_hears_of_outputs_while_they_are_shown(database: Database, books: Books) -> None:
    run = RunId(UUID(int=0xE0))
    id, file = output_id(run, "9", 0), Output("9", 0, "a.png", Digest("a" * 64), 9, "image/png", 8, 8)
    shown = OutputPublished(owner=ANN, run=run, output=file, name="Fox")
    said = CommentPosted(owner=ANN, output=OutputPlace(id, run, "9", 0), text="Mine, @eve.", mentions=(EVE,))
    stories: list[Told] = [
        followed(BOB, ANN),
        (id, ANN, shown),
        (id, ANN, replace(shown, description="In the snow.")),
        (CommentId(UUID(int=0xC9)), ANN, said),
    ]
    await told(database, books, *stories)
    (second, first) = await heard(database, BOB)
    assert kinds([second, first]) == [("commented", "ann"), ("published", "ann")]
    assert first["output"] == second["output"] == {"id": str(id), "name": "Fox"}
    assert (first["workflow"], second["comment"]["text"]) == (None, "Mine, @eve.")
    assert kinds(await heard(database, EVE)) == [("mentioned", "ann")]
    books.add((id, ANN, OutputHidden(run=run, node="9", index=0, by=BOB, reason="No.")))
    for name in ("feed", "comments", "shared_outputs"):
        await rebuild(PROJECTIONS[name], connecting(database))
    assert await heard(database, BOB) == await heard(database, EVE) == []
    assert len(await heard(database, ANN)) == 3


async def test_of_what_was_hidden_nobody_else_hears(database: Database, books: Books) -> None:
    stories = [followed(BOB, ANN), *published(SECRET, "Secret"), commented(1, ANN, SECRET, BOB)]
    await told(database, books, *stories, (SECRET, ANN, WorkflowWithdrawn()))
    assert await heard(database, BOB) == []
    assert kinds(await heard(database, ANN)) == [
        ("commented", "ann"),
        ("published", "ann"),
        ("followed", "bob"),
    ]
    async with reading(database) as reader:
        for account, count in ((ANN, 4), (BOB, 0), (EVE, 0), (None, 0)):
            async with reader.for_account(account) as cursor:
                await cursor.execute(b"SELECT count(*) FROM read.feed")
                assert await cursor.fetchall() == [(count + (account == BOB),)]  # whom one follows one knows


async def test_who_follows_whom_is_listed_for_those_who_are_logged_in(
    database: Database, books: Books
) -> None:
    await told(database, books, followed(BOB, ANN), followed(EVE, ANN))
    async with reading(database) as reader:
        async with reader.for_account(EVE) as cursor:
            page = msgspec.json.decode(await follows.followers(cursor, ANN, 1), type=dict[str, Any])
            assert [each["username"] for each in page["items"]] == ["eve"]
            rest = await follows.followers(cursor, ANN, 1, page["next_cursor"])
            assert [each["username"] for each in msgspec.json.decode(rest)["items"]] == ["bob"]
            found = msgspec.json.decode(await follows.following(cursor, EVE, 5))
            assert found["items"] == [{"username": "ann", "followers": 2, "following": 0}]
            standing = msgspec.json.decode(await follows.standing(cursor, ANN))
            assert standing == {"followers": 2, "following": 0, "followed": True}
            nobody = msgspec.json.decode(await follows.standing(cursor, AccountId(UUID(int=9))))
            assert nobody == {"followers": 0, "following": 0, "followed": False}
        async with reader.for_account(None) as cursor:
            for view in ("follows", "follow_counts"):
                await cursor.execute(f"SELECT count(*) FROM read.{view}".encode())
                assert await cursor.fetchall() == [(0,)]
