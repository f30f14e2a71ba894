"""The gallery: what is counted, what trends, how it is found, and in which order it comes."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from domain.event import Event
from domain.ids import AccountId, WorkflowId, like_id
from domain.like import LikeGiven, LikeTakenBack
from domain.refusals import Invalid
from domain.workflow import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowDescribed,
    WorkflowPublished,
    WorkflowTagged,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)
from projections import gallery
from projections.gallery import GALLERY, Sort
from projections.gallery_rows import CountRow
from projections.paging import ranked
from projections.reading import Cursor
from projections.rebuild import rebuild
from projections.trending import HALF_LIFE, NOTHING, PRECISION, raised
from projections.writer import empty
from tests.projections.ground import NOON, PROJECTIONS, Books, connecting, reading, recorded
from tests.projections.stories import ANN, BOB, GRAPH, Told, joined, submitted
from tests.servers import Database

ID = WorkflowId(UUID(int=0xCA7))
created = WorkflowCreated(owner=ANN, name="Cats", tags=("cat",))
shown: list[tuple[UUID, Event]] = [
    (ID, created),
    (ID, WorkflowVersionSaved(number=1, graph=GRAPH)),
    (ID, WorkflowPublished()),
]


def liked(account: AccountId = BOB) -> tuple[UUID, Event]:
    return like_id(account, ID), LikeGiven(account=account, workflow=ID)


def unliked(account: AccountId = BOB) -> tuple[UUID, Event]:
    return like_id(account, ID), LikeTakenBack(account=account, workflow=ID)


def after(*events: tuple[UUID, Event]) -> dict[str, list[Any]]:
    """The rows of each table; every stream counts its versions."""
    buffer, versions = empty(GALLERY, whole=True), dict[UUID, int]()
    for position, (stream, event) in enumerate(events, 1):
        versions[stream] = versions.get(stream, 0) + 1
        GALLERY.fold(recorded(position, stream, event, owner=ANN, version=versions[stream]), buffer)
    return {name: rows.everything() for name, rows in buffer.items()}


def counts(*events: tuple[UUID, Event]) -> CountRow:
    (row,) = after(*shown, *events)["gallery_counts"]
    assert isinstance(row, CountRow)
    return row


def facets(*events: tuple[UUID, Event]) -> dict[str, int]:
    return {row.name: row.shown for row in after(*events)["gallery_facets"]}


def test_likes_and_runs_are_counted() -> None:
    row = counts(liked(), liked(ANN), unliked(ANN), (uuid4(), submitted(ANN, ID)))
    assert (row.likes, row.runs) == (1, 1)
    assert [like.account for like in after(*shown, liked(), liked(ANN), unliked(ANN))["gallery_likes"]] == [
        BOB
    ]


def test_what_was_deleted_is_counted_no_more() -> None:
    assert after(*shown, liked(), (ID, WorkflowDeleted()), unliked(), (uuid4(), submitted(BOB, ID))) == {
        name: [] for name in after()
    }


def test_whoever_likes_it_again_and_again_makes_no_trend() -> None:
    once = counts(liked())
    assert once.trend > counts().trend > NOTHING
    assert counts(liked(), *[unliked(), liked()] * 20).trend == once.trend


def test_what_owners_do_with_their_own_makes_no_trend() -> None:
    assert counts(liked(ANN), (uuid4(), submitted(ANN, ID))).trend == counts().trend
    assert counts((uuid4(), submitted(BOB, ID))).trend > counts().trend


def test_a_sign_of_interest_counts_half_after_a_half_life() -> None:
    old = raised(raised(NOTHING, NOON), NOON)
    assert old == raised(NOTHING, NOON) + PRECISION
    assert raised(NOTHING, NOON + HALF_LIFE) == old
    assert raised(NOTHING, NOON + HALF_LIFE + timedelta(seconds=1)) > old
    assert raised(old, NOON - timedelta(days=9_000)) == old


def test_tags_are_counted_while_they_are_shown() -> None:
    assert facets(*shown[:2]) == {}
    assert facets(*shown) == {"cat": 1}
    assert facets(*shown, (ID, WorkflowTagged(tags=("cat", "dog")))) == {"cat": 1, "dog": 1}
    assert facets(*shown, (ID, WorkflowTagged(tags=()))) == {}
    for hidden in (WorkflowWithdrawn(), WorkflowDeleted()):
        assert facets(*shown, (ID, WorkflowPublished()), (ID, hidden), (ID, hidden)) == {}


def test_what_a_tag_is_sorted_by_keeps_step_with_the_counts() -> None:
    retagged = ID, WorkflowTagged(tags=("cat", "dog"))
    story = (
        *shown,
        liked(),
        retagged,
        (uuid4(), submitted(BOB, ID)),
        liked(AccountId(UUID(int=7))),
        unliked(),
    )
    tables = after(*story)
    (counts,) = tables["gallery_counts"]
    standing = (counts.likes, counts.runs, counts.trend)
    assert [(row.tag, row.likes, row.runs, row.trend) for row in tables["gallery_tagged"]] == [
        ("cat", *standing),
        ("dog", *standing),
    ]
    (again,) = after(*shown, (ID, WorkflowWithdrawn()), (ID, WorkflowPublished()))["gallery_tagged"]
    assert again.published_at == NOON + timedelta(seconds=5)
    assert after(*story, (ID, WorkflowWithdrawn()), liked())["gallery_tagged"] == []


def published(name: str, *, description: str = "", tags: tuple[str, ...] = ()) -> list[Told]:
    id = uuid4()
    return [
        (id, ANN, WorkflowCreated(owner=ANN, name=name, description=description, tags=tags)),
        (id, ANN, WorkflowVersionSaved(number=1, graph=GRAPH)),
        (id, ANN, WorkflowPublished()),
    ]


def likes_of(workflow: UUID, number: int) -> list[Told]:
    told: list[Told] = []
    for each in range(number):
        account, liked = AccountId(UUID(int=each + 1)), WorkflowId(workflow)
        told.append((like_id(account, liked), account, LikeGiven(account=account, workflow=liked)))
    return told


def decoded(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])


async def names(ask: Callable[..., Awaitable[bytes]], cursor: Cursor, **asked: Any) -> list[str]:
    """Page by page, two at a time."""
    found: list[str] = []
    after: str | None = None
    while True:
        body = decoded(await ask(cursor, 2, after, **asked))
        found += [each.get("name", each.get("tag")) for each in body["items"]]
        if (after := body["next_cursor"]) is None:
            return found


async def test_it_is_found_by_words_and_tags_in_every_order(database: Database, books: Books) -> None:
    stories = [
        published("Portraits at night", description="Faces by lamplight.", tags=("face", "night")),
        published("Straßen bei Nacht", description="Ohne Gesichter", tags=("night",)),
        published("Foxes running", tags=("animal", "snow & ice")),
        published("Hidden", description="portrait", tags=("face", "secret")),
    ]
    first, second, third, hidden = (story[0][0] for story in stories)
    books.add(joined(ANN, "ann"), *(each for story in stories for each in story))
    books.add(
        (hidden, ANN, WorkflowWithdrawn()), *likes_of(second, 3), *likes_of(first, 2), *likes_of(hidden, 9)
    )
    books.add(*[(uuid4(), BOB, submitted(BOB, third)) for _ in range(4)])
    books.add((third, ANN, WorkflowDescribed(description="A pack of them, at dusk.")))
    await rebuild(PROJECTIONS["gallery"], connecting(database))
    async with reading(database) as reader, reader.for_account(None) as cursor:

        async def found(**asked: Any) -> list[str]:
            return await names(gallery.published, cursor, **asked)

        new = ["Foxes running", "Straßen bei Nacht", "Portraits at night"]
        assert await found() == new
        assert await found(sort=Sort.LIKES) == [new[1], new[2], new[0]]
        assert (await found(sort=Sort.RUNS))[0] == new[0]
        assert (await found(sort=Sort.TRENDING))[0] == new[1]
        for words, expected in (
            ("portrait", [new[2]]),
            ("PORTRAITS", [new[2]]),
            ("lamplight face", [new[2]]),
            ("nacht", [new[1]]),
            ("fox dusk", [new[0]]),
            ('"running foxes"', []),
            ('"foxes running"', [new[0]]),
            ("night or ice", new),
            ("-night", new[1:]),
            ("the", []),
            ("%_'\\ & | ! ( <->", []),
        ):
            for sort in Sort:
                assert set(await found(words=words, sort=sort)) == set(expected), words
        assert await found(tag=" Night ") == new[1:]
        assert await found(tag="snow & ice", sort=Sort.LIKES) == [new[0]]
        assert await found(tag="night", words="gesichter", sort=Sort.TRENDING) == [new[1]]
        assert await found(tag="night", sort=Sort.LIKES) == new[1:]
        assert await found(tag="secret") == []
        assert await names(gallery.tags, cursor) == ["night", "animal", "face", "snow & ice"]
        for wrong in ("x" * 201, "\0"):
            with pytest.raises(Invalid):
                await gallery.published(cursor, 2, words=wrong)
            with pytest.raises(Invalid):
                await gallery.published(cursor, 2, tag=wrong)


async def test_likes_are_ones_own_to_see(database: Database, books: Books) -> None:
    story = published("Cats")
    id = WorkflowId(story[0][0])
    books.add(joined(ANN, "ann"), *story, (like_id(BOB, id), BOB, LikeGiven(account=BOB, workflow=id)))
    await rebuild(PROJECTIONS["gallery"], connecting(database))
    async with reading(database) as reader:
        for account, mine in ((ANN, False), (BOB, True), (None, False)):
            async with reader.for_account(account) as cursor:
                (entry,) = decoded(await gallery.published(cursor, 5))["items"]
                assert (entry["likes"], entry["liked"]) == (1, mine)
                standing = decoded(await gallery.standing(cursor, id) or b"")
                assert standing == {"likes": 1, "liked": mine, "runs": 0}
                await cursor.execute(b"SELECT account FROM read.gallery_likes")
                assert await cursor.fetchall() == ([(BOB,)] if mine else [])


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.x", "-1.a", "9" * 30 + f".{ID}", f"1.5.{ID}"])
async def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        ranked(cursor)
