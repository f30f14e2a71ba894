"""What a profile shows, to whom, and what is left of it."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec.structs import replace

from domain.account import AccountErased, AccountRegistered
from domain.event import Event
from domain.follow import FollowBegun, FollowEnded
from domain.ids import AccountId, Digest, RunId, follow_id, output_id, profile_id
from domain.outcome import Output
from domain.personal import Personal
from domain.profile import AvatarChanged, ProfileChanged
from domain.run import OutputDeleted, RunDeleted
from domain.shared_output import OutputHidden, OutputPublished, OutputShownAgain, OutputWithdrawn
from domain.workflow import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowHidden,
    WorkflowPublished,
    WorkflowShownAgain,
    WorkflowTrashed,
    WorkflowWithdrawn,
)
from projections import profiles
from projections.profiles import PROFILES, ProfileRow, fold
from projections.writer import empty
from tests.projections.ground import NOON, Books, reading, recorded
from tests.projections.stories import ANN, BOB, joined, workflow
from tests.projections.test_reading import told
from tests.servers import Database

ID = uuid4()


def shown(*events: tuple[UUID, AccountId, Event]) -> dict[AccountId, ProfileRow]:
    """The profiles after some events: whose, and by whom."""
    buffer = empty(PROFILES, whole=True)
    for position, (stream, owner, event) in enumerate(events, 1):
        fold(recorded(position, stream, event, owner=owner), buffer)
    rows: list[Any] = buffer["profiles"].everything()
    return {row.account: row for row in rows}


def registered(account: AccountId, name: str) -> tuple[UUID, AccountId, Event]:
    return account, account, AccountRegistered(account=account, username=Personal("", name))


def said(**texts: str | None) -> tuple[UUID, AccountId, Event]:
    sealed = {name: Personal("sealed", text) for name, text in texts.items()}
    return profile_id(ANN), ANN, ProfileChanged(account=ANN, **sealed)


def pictured(avatar: UUID | None) -> tuple[UUID, AccountId, Event]:
    return profile_id(ANN), ANN, AvatarChanged(account=ANN, avatar=avatar)


ann = registered(ANN, "ann")


def test_the_last_word_counts_for_each_field() -> None:
    story = (said(display_name="A", bio="Foxes."), said(bio="", links="https://a.example\nhttp://b.example"))
    row = shown(ann, *story, pictured(ID))[ANN]
    links = ("https://a.example", "http://b.example")
    assert row == ProfileRow(ANN, "ann", "A", "", links, ID, NOON.replace(second=1), 0, 0, 0, 0)
    assert shown(ann, *story, pictured(ID), pictured(None))[ANN].avatar is None


def test_whoever_is_forgotten_has_no_profile() -> None:
    assert shown(ann, said(bio="Foxes."), (ANN, ANN, AccountErased())) == {}
    forgotten = shown(registered(ANN, "deleted account"), said(bio=None, links=None))[ANN]
    assert (forgotten.bio, forgotten.links) == ("", ())


def test_followers_and_published_workflows_are_counted() -> None:
    stream = follow_id(BOB, ANN)
    begun, ended = FollowBegun(follower=BOB, followed=ANN), FollowEnded(follower=BOB, followed=ANN)
    found = shown(ann, registered(BOB, "bob"), (stream, BOB, begun))
    assert [(row.followers, row.following) for row in found.values()] == [(1, 0), (0, 1)]
    assert shown(ann, registered(BOB, "bob"), (stream, BOB, begun), (stream, BOB, ended))[ANN].followers == 0
    published, withdrawn, deleted = WorkflowPublished(), WorkflowWithdrawn(), WorkflowDeleted()
    hidden = WorkflowHidden(by=BOB, reason="Spam.")
    for events, count in (
        ((published,), 1),
        ((published, withdrawn), 0),
        ((published, deleted), 0),
        ((published, withdrawn, deleted), 0),
        ((deleted,), 0),
        ((published, WorkflowTrashed(published=True), deleted), 0),
        ((published, WorkflowTrashed(published=True), published), 1),
        ((published, withdrawn, published), 1),
        ((published, hidden), 0),
        ((published, hidden, WorkflowShownAgain(by=BOB, reason="Fine.", public=True)), 1),
        ((published, hidden, WorkflowShownAgain(by=BOB, reason="Fine.", public=False)), 0),
    ):
        story = (WorkflowCreated(owner=ANN, name="Cats"), *events)
        assert shown(ann, *((ID, ANN, event) for event in story))[ANN].workflows == count


def test_shown_outputs_are_counted_while_everybody_sees_them() -> None:
    run = RunId(ID)
    at: dict[str, Any] = {"run": run, "node": "9", "index": 0}
    file = Output("9", 0, "a.png", Digest("a" * 64), 9, "image/png", 8, 8)
    other = OutputPublished(owner=ANN, run=run, output=replace(file, index=1), name="Vixen")
    published = OutputPublished(owner=ANN, run=run, output=file, name="Fox")
    hidden, back = OutputHidden(**at, by=BOB, reason="No."), OutputShownAgain(**at, by=BOB, reason="Yes.")
    for events, count in (
        ((published,), 1),
        ((published, published), 1),
        ((published, hidden), 0),
        ((published, hidden, back), 1),
        ((published, OutputWithdrawn(**at)), 0),
    ):
        told = ((output_id(run, "9", 0), ANN, event) for event in events)
        both = [ann, (output_id(run, "9", 1), ANN, other), *told]
        assert (shown(*both)[ANN].outputs, shown(*both)[ANN].workflows) == (count + 1, 0)
        gone = (run, ANN, OutputDeleted(node="9", index=0, size_bytes=9))
        assert shown(*both, gone)[ANN].outputs == 1
        assert shown(*both, (run, ANN, RunDeleted()))[ANN].outputs == 0


async def test_strangers_see_only_those_who_have_published_something(
    database: Database, books: Books
) -> None:
    quiet = AccountId(uuid4())
    books.add(joined(quiet, "quiet"), *workflow(quiet, "private"))
    await told(database, books)
    for viewer, seen in ((None, {ANN, BOB}), (BOB, {ANN, BOB, quiet})):
        async with reading(database) as reader, reader.for_account(viewer) as cursor:
            await cursor.execute(b"SELECT account FROM read.profiles")
            assert {id for (id,) in await cursor.fetchall()} == seen
            page = await profiles.profile(cursor, quiet, "https://here/")
            assert (page is not None) == (viewer is not None)
            known = msgspec.json.decode(await profiles.profile(cursor, ANN, "https://here/") or b"")
            assert (known["display_name"], known["bio"]) == ("Ann", "")
            assert known["avatar_url"] == f"https://here/{UUID(int=77)}"
            assert known["links"] == ["https://a.example", "https://b.example"]
