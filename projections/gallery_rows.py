"""What the gallery is folded into: entries, their counts, the words they are found by, likes, tags and authors."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountRegistered
from domain.event import AnyRecorded
from domain.ids import AccountId
from domain.like import LikeGiven, LikeTakenBack
from domain.outcome import Image
from domain.personal import DELETED_ACCOUNT
from domain.run import RunSubmitted
from domain.workflow import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowDescribed,
    WorkflowHidden,
    WorkflowMarked,
    WorkflowPublished,
    WorkflowRenamed,
    WorkflowShownAgain,
    WorkflowTagged,
    WorkflowThumbnailRemoved,
    WorkflowThumbnailSet,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)
from projections.facets import TAG, FacetRow, count_tags
from projections.projection import Buffer, Table
from projections.trending import NOTHING, raised

SHOWING = {WorkflowPublished, WorkflowWithdrawn, WorkflowHidden, WorkflowShownAgain, WorkflowDeleted}
RUN_WEIGHT = 0.25  # of a like


class GalleryRow(Struct, gc=False):
    """A workflow, shown while `published_at` is set. `hidden_at`: when it was published that is hidden now."""

    id: UUID
    owner: AccountId
    name: str
    description: str
    tags: tuple[str, ...]
    versions: int
    thumbnails: tuple[Image, ...]
    published_at: datetime | None
    updated_at: datetime
    hidden_at: datetime | None = None
    sensitive: bool = False


class CountRow(Struct, gc=False):
    """What changes far more often than the rest of an entry. `trend`: see `trending`."""

    workflow: UUID
    owner: AccountId
    shown: bool
    likes: int
    runs: int
    trend: int


class WordsRow(Struct, gc=False):
    """What a published workflow is found by: there are no others here, so that Postgres may use its indexes."""

    workflow: UUID
    name: str
    description: str
    tags: tuple[str, ...]


class TaggedRow(Struct, gc=False):
    """A tag of a published workflow, with all that one may sort by: so a page of a tag is a piece of an index."""

    workflow: UUID
    tag: str
    published_at: datetime
    likes: int
    runs: int
    trend: int


class LikeRow(Struct, gc=False):
    id: UUID
    account: AccountId
    workflow: UUID
    at: datetime


class AuthorRow(Struct, gc=False):
    """`shown`: how many workflows of theirs are published; while there are none, nobody sees the name."""

    account: AccountId
    username: str
    shown: int


def _of_workflow(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case AccountRegistered() | AccountErased() | LikeGiven() | LikeTakenBack() | RunSubmitted():
            return ()
        case _:
            return (recorded.stream,)


def _counted(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case LikeGiven(workflow=workflow) | LikeTakenBack(workflow=workflow):
            return (workflow,)
        case RunSubmitted(workflow=workflow):
            return () if workflow is None else (workflow,)
        case _ if type(recorded.event) in SHOWING or type(recorded.event) is WorkflowTagged:
            return (recorded.stream,)
        case _:
            return ()


def _words(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case WorkflowCreated() | WorkflowVersionSaved():
            return ()
        case _:
            return _of_workflow(recorded)


def _taken_back(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is LikeTakenBack else ()


def _facets(recorded: AnyRecorded) -> Iterable[str]:
    """All of them: there are a few thousand words that people use."""
    event = type(recorded.event)
    return (TAG,) if event in SHOWING or event is WorkflowTagged else ()


def _author(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case AccountErased():
            return (recorded.stream,)
        case _ if type(recorded.event) in SHOWING and recorded.owner is not None:
            return (recorded.owner,)
        case _:
            return ()


TABLES: tuple[Table[Any], ...] = (
    Table("gallery", GalleryRow, ("id",), _of_workflow),
    Table("gallery_counts", CountRow, ("workflow",), _counted),
    Table("gallery_words", WordsRow, ("workflow",), _words),
    Table("gallery_tagged", TaggedRow, ("workflow", "tag"), _counted),
    Table("gallery_likes", LikeRow, ("id",), _taken_back),
    Table("gallery_facets", FacetRow, ("facet", "name"), _facets),
    Table("gallery_authors", AuthorRow, ("account",), _author),
)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    entries, id, at = buffer["gallery"], recorded.stream, recorded.at
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            buffer["gallery_authors"].put(AuthorRow(account, name, 0))
        case AccountErased():
            buffer["gallery_authors"].change(id, username=DELETED_ACCOUNT)
        case WorkflowCreated(owner=owner, name=name, description=description, tags=tags):
            entries.put(GalleryRow(id, owner, name, description, tags, 0, (), None, at))
            buffer["gallery_counts"].put(CountRow(id, owner, False, 0, 0, NOTHING))
        case WorkflowVersionSaved(number=number):
            entries.change(id, versions=number, updated_at=at)
        case WorkflowRenamed(name=name):
            entries.change(id, name=name, updated_at=at)
            buffer["gallery_words"].change(id, name=name)
        case WorkflowDescribed(description=description):
            entries.change(id, description=description, updated_at=at)
            buffer["gallery_words"].change(id, description=description)
        case WorkflowTagged(tags=tags):
            _tag(id, tags, at, buffer)
        case WorkflowThumbnailSet(thumbnails=thumbnails):
            entries.change(id, thumbnails=thumbnails)
        case WorkflowThumbnailRemoved():
            entries.change(id, thumbnails=())
        case WorkflowPublished():
            _show(id, at, buffer)
        case WorkflowWithdrawn():
            _show(id, None, buffer)
            entries.change(id, hidden_at=None)
        case WorkflowHidden():
            entry = entries.get(id)
            published_at = None if entry is None else entry.published_at
            _show(id, None, buffer)
            entries.change(id, hidden_at=published_at)
        case WorkflowShownAgain(public=public):
            entry = entries.get(id)
            if public and entry is not None:
                _show(id, entry.hidden_at or at, buffer)
            entries.change(id, hidden_at=None)
        case WorkflowMarked(sensitive=sensitive):
            entries.change(id, sensitive=sensitive)
        case WorkflowDeleted():
            _show(id, None, buffer)
            entries.remove(id)
            buffer["gallery_counts"].remove(id)
        case LikeGiven(account=account, workflow=workflow):
            buffer["gallery_likes"].put(LikeRow(id, account, workflow, at))
            _count(workflow, buffer, likes=1)
            if recorded.version == 1:  # whoever likes it again and again is one who likes it
                _raise(workflow, account, 1.0, at, buffer)
        case LikeTakenBack(workflow=workflow):
            buffer["gallery_likes"].remove(id)
            _count(workflow, buffer, likes=-1)
        case RunSubmitted(owner=owner, workflow=workflow) if workflow is not None:
            _count(workflow, buffer, runs=1)
            _raise(workflow, owner, RUN_WEIGHT, at, buffer)
        case _:
            pass


def _show(id: UUID, published_at: datetime | None, buffer: Buffer) -> None:
    entry, counts = buffer["gallery"].edit(id), buffer["gallery_counts"].edit(id)
    if entry is None or counts is None:
        return
    shown = (published_at is not None) - (entry.published_at is not None)
    entry.published_at, counts.shown = published_at, published_at is not None
    if shown > 0:
        buffer["gallery_words"].put(WordsRow(id, entry.name, entry.description, entry.tags))
        if counts.trend == NOTHING:
            counts.trend = raised(NOTHING, published_at or entry.updated_at)
    elif shown < 0:
        buffer["gallery_words"].remove(id)
    _show_tags(entry, counts, buffer)
    count_tags(entry.tags, shown, buffer["gallery_facets"])
    if shown and (author := buffer["gallery_authors"].edit(entry.owner)):
        author.shown += shown


def _tag(id: UUID, tags: tuple[str, ...], at: datetime, buffer: Buffer) -> None:
    entry = buffer["gallery"].edit(id)
    if entry is None:
        return
    if entry.published_at is not None:
        count_tags(entry.tags, -1, buffer["gallery_facets"])
        count_tags(tags, 1, buffer["gallery_facets"])
        buffer["gallery_words"].change(id, tags=tags)
    entry.tags, entry.updated_at = tags, at
    _show_tags(entry, buffer["gallery_counts"].get(id), buffer)


def _show_tags(entry: GalleryRow, counts: CountRow | None, buffer: Buffer) -> None:
    tagged = buffer["gallery_tagged"]
    tagged.remove_of(entry.id)
    if entry.published_at is None or counts is None:
        return
    for tag in entry.tags:
        standing = counts.likes, counts.runs, counts.trend
        tagged.put(TaggedRow(entry.id, tag, entry.published_at, *standing))


def _count(workflow: UUID, buffer: Buffer, *, likes: int = 0, runs: int = 0) -> None:
    if counts := buffer["gallery_counts"].edit(workflow):
        counts.likes += likes
        counts.runs += runs
        _stand(counts, buffer)


def _raise(workflow: UUID, by: AccountId, weight: float, at: datetime, buffer: Buffer) -> None:
    """What owners do with their own shows nothing."""
    counts = buffer["gallery_counts"].edit(workflow)
    if counts is not None and counts.owner != by:
        counts.trend = raised(counts.trend, at, weight)
        _stand(counts, buffer)


def _stand(counts: CountRow, buffer: Buffer) -> None:
    tagged = buffer["gallery_tagged"]
    for row in tagged.of(counts.workflow):
        standing = {"likes": counts.likes, "runs": counts.runs, "trend": counts.trend}
        tagged.change((row.workflow, row.tag), **standing)
