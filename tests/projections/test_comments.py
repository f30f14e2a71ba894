"""What is shown of comments, and to whom."""

from typing import Any
from uuid import UUID

import msgspec

from domain.account import AccountErased, AccountRegistered
from domain.comment import CommentDeleted, CommentEdited, CommentPosted
from domain.event import Event
from domain.ids import AccountId, CommentId, Digest, RunId, WorkflowId, output_id
from domain.outcome import Output
from domain.personal import Personal
from domain.place import OutputPlace
from domain.run import OutputDeleted, RunDeleted
from domain.shared_output import OutputHidden, OutputPublished, OutputShownAgain, OutputWithdrawn
from domain.workflow import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowTrashed,
    WorkflowWithdrawn,
)
from projections import comments
from projections.comments import COMMENTS_MADE, CommentPlaceRow, SpeakerRow
from projections.rebuild import rebuild
from tests.projections.ground import PROJECTIONS, Books, connecting, folded, reading
from tests.projections.stories import ANN, BOB, Told, joined
from tests.servers import Database

ID = WorkflowId(UUID(int=0xF0))
FIRST, ANSWER = CommentId(UUID(int=0xC1)), CommentId(UUID(int=0xC2))
created, public = (ID, WorkflowCreated(owner=ANN, name="Cats")), (ID, WorkflowPublished())
first = FIRST, CommentPosted(owner=BOB, workflow=ID, text="<b>Nice</b>, @ann & @all", mentions=(ANN,))
answer = ANSWER, CommentPosted(owner=ANN, workflow=ID, text="Thanks.", parent=FIRST)

RUN = RunId(UUID(int=0xE0))
OUTPUT = output_id(RUN, "9", 0)
file = Output("9", 0, "a.png", Digest("a" * 64), 9, "image/png", 8, 8)
shown = OUTPUT, OutputPublished(owner=ANN, run=RUN, output=file, name="Fox")
on_output = (
    CommentId(UUID(int=0xC3)),
    CommentPosted(owner=BOB, output=OutputPlace(OUTPUT, RUN, "9", 0), text="A fox!"),
)


def registered(account: AccountId, name: str | None) -> tuple[UUID, Event]:
    return account, AccountRegistered(account=account, username=Personal("", name))


def test_comments_and_answers_are_counted() -> None:
    tables = folded(COMMENTS_MADE, created, public, first, answer)
    assert tables["comment_places"] == [
        CommentPlaceRow(
            stem=ID, node="", index=0, id=ID, owner=ANN, public=True, wanted=True, away=False, comments=2
        )
    ]
    assert [(row.id, row.parent, row.replies) for row in tables["comments"]] == [
        (FIRST, None, 1),
        (ANSWER, FIRST, 0),
    ]


def test_of_a_deleted_comment_nothing_is_left_but_its_place() -> None:
    gone = CommentDeleted(workflow=ID, by=BOB)
    tables = folded(COMMENTS_MADE, created, first, answer, (FIRST, gone))
    row = next(row for row in tables["comments"] if row.id == FIRST)
    assert (row.text, row.mentions, row.deleted, row.replies) == ("", (), True, 1)
    assert tables["comment_places"][0].comments == 1
    after = folded(COMMENTS_MADE, created, first, (ID, WorkflowDeleted()), (FIRST, gone), answer)
    assert after["comment_places"] == []


def test_comments_stay_with_what_is_in_the_trash_and_go_with_a_file() -> None:
    """Nobody sees them there; what is taken back has them all."""
    away = [(ID, WorkflowWithdrawn()), (ID, WorkflowTrashed(published=True))]
    (place,) = folded(COMMENTS_MADE, created, public, first, *away, answer)["comment_places"]
    assert (place.comments, place.public, place.away) == (2, False, True)
    back = [(ID, WorkflowRecovered()), (ID, WorkflowPublished())]
    (place,) = folded(COMMENTS_MADE, created, public, first, *away, *back)["comment_places"]
    assert (place.comments, place.public, place.away) == (1, True, False)
    for gone in (OutputDeleted(node="9", index=0, size_bytes=1), RunDeleted()):
        assert folded(COMMENTS_MADE, shown, on_output, (RUN, gone))["comment_places"] == []


def test_an_output_that_is_shown_again_is_seen_as_its_owner_wants_it() -> None:
    at: dict[str, Any] = {"run": RUN, "node": "9", "index": 0}
    hidden = OUTPUT, OutputHidden(**at, by=BOB, reason="No.")
    back = OUTPUT, OutputShownAgain(**at, by=BOB, reason="It may.")
    withdrawn = OUTPUT, OutputWithdrawn(**at)
    for history, public in (
        ((), True),
        ((hidden,), False),
        ((hidden, back), True),
        ((hidden, withdrawn, back), False),
        ((withdrawn,), False),
        ((withdrawn, shown), True),
    ):
        (place,) = folded(COMMENTS_MADE, shown, on_output, *history)["comment_places"]
        assert (place.id, place.public, place.comments) == (OUTPUT, public, 1)


def test_whoever_says_nothing_and_is_not_named_is_not_shown() -> None:
    everybody = (registered(ANN, "ann"), registered(BOB, "bob"), registered(AccountId(UUID(int=7)), "eve"))
    heard = {row.username: row.heard for row in folded(COMMENTS_MADE, *everybody, first)["comment_speakers"]}
    assert heard == {"ann": True, "bob": True, "eve": False}


def test_a_deleted_account_has_no_name_with_its_key_or_without() -> None:
    erased = BOB, AccountErased()
    for name in ("bob", None):
        rows = folded(COMMENTS_MADE, registered(BOB, name), first, erased)["comment_speakers"]
        assert rows == [SpeakerRow(BOB, "deleted account", True)]


async def test_comments_are_seen_as_their_workflow_is(database: Database, books: Books) -> None:
    told: list[Told] = [joined(ANN, "ann"), joined(BOB, "bob")]
    told += [(ID, ANN, created[1]), (FIRST, BOB, first[1]), (ANSWER, ANN, answer[1])]
    told += [(FIRST, BOB, CommentEdited(text="Hm, @ann?", mentions=(ANN,)))]
    books.add(*told)
    await rebuild(PROJECTIONS["comments"], connecting(database))
    assert [each["text"] for each in await seen(database, ANN)] == ["Hm, @ann?"]
    for account in (BOB, None):
        assert await seen(database, account) == []
    books.add((ID, ANN, WorkflowPublished()))
    await rebuild(PROJECTIONS["comments"], connecting(database))
    for account in (ANN, BOB, None):
        (top,) = await seen(database, account)
        assert (top["author"], top["yours"], top["mentions"]) == ("bob", account == BOB, ["ann"])
        assert (top["replies"], top["edited_at"] is not None) == (1, True)
        (below,) = await seen(database, account, parent=FIRST)
        assert (below["author"], below["text"], below["parent"]) == ("ann", "Thanks.", str(FIRST))
    books.add((ID, ANN, WorkflowWithdrawn()))
    await rebuild(PROJECTIONS["comments"], connecting(database))
    assert await seen(database, BOB) == await seen(database, BOB, parent=FIRST) == []
    assert len(await seen(database, ANN)) == 1
    books.add((ID, ANN, WorkflowTrashed(published=True)))
    await rebuild(PROJECTIONS["comments"], connecting(database))
    assert await seen(database, ANN) == []


async def seen(
    database: Database, account: AccountId | None, parent: CommentId | None = None
) -> list[dict[str, Any]]:
    """By the query, which shows no more than one without WHERE would."""
    async with reading(database) as reader, reader.for_account(account) as cursor:
        page = msgspec.json.decode(await comments.said(cursor, ID, 10, parent=parent), type=dict[str, Any])
        await cursor.execute(b"SELECT count(*) FROM read.comments")
        ((count,),) = await cursor.fetchall()
        assert bool(count) == (await comments.counted(cursor, ID) is not None)
        assert count or not page["items"]
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_pages_go_on_where_they_ended(database: Database, books: Books) -> None:
    books.add((ID, ANN, created[1]), (ID, ANN, public[1]), (FIRST, BOB, first[1]))
    for number in range(5):
        for parent in (None, FIRST):
            said = CommentPosted(owner=ANN, workflow=ID, text=str(number), parent=parent)
            books.add((CommentId(UUID(int=1_000 + 2 * number + (parent is None))), ANN, said))
    await rebuild(PROJECTIONS["comments"], connecting(database))
    async with reading(database) as reader, reader.for_account(None) as cursor:
        for parent, expected in ((None, ["4", "3", "2", "1", "0"]), (FIRST, ["0", "1", "2", "3", "4"])):
            texts: list[str] = []
            after: str | None = None
            while True:
                body = await comments.said(cursor, ID, 2, after, parent=parent)
                page = msgspec.json.decode(body, type=dict[str, Any])
                texts += [each["text"] for each in page["items"]]
                if (after := page["next_cursor"]) is None:
                    break
            assert [text for text in texts if text.isdigit()] == expected
