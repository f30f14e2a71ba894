"""What shared outputs are folded into: what is shown, what it is found by, who likes it and whose it is."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountRegistered
from domain.event import AnyRecorded
from domain.ids import AccountId
from domain.outcome import Output
from domain.output_like import OutputLiked, OutputUnliked
from domain.personal import DELETED_ACCOUNT
from domain.run import OutputDeleted, RunDeleted
from domain.shared_output import (
    OutputHidden,
    OutputMarked,
    OutputPublished,
    OutputShownAgain,
    OutputWithdrawn,
)
from projections.facets import TAG, FacetRow, count_tags
from projections.projection import Buffer, Table
from projections.trending import NOTHING, raised


class SharedOutputRow(Struct, gc=False):
    """`shown`: to everybody; `wanted`: by its owner; `hidden_for`: why it is not. `graph`, `values`: digests."""

    run: UUID
    node: str
    index: int
    id: UUID
    owner: AccountId
    shown: bool
    wanted: bool
    hidden_for: str
    sensitive: bool
    name: str
    description: str
    tags: tuple[str, ...]
    file: Output
    graph: str | None
    values: str | None
    published_at: datetime
    likes: int
    trend: int


class SharedWordsRow(Struct, gc=False):
    """What a shown output is found by: there are no others here, so that Postgres may use its index."""

    run: UUID
    node: str
    index: int
    id: UUID
    name: str
    description: str
    tags: tuple[str, ...]


class SharedTaggedRow(Struct, gc=False):
    """A tag of a shown output, with all that one may sort by: so a page of a tag is a piece of an index."""

    run: UUID
    node: str
    index: int
    tag: str
    id: UUID
    published_at: datetime
    likes: int
    trend: int


class OutputLikeRow(Struct, gc=False):
    id: UUID
    account: AccountId
    output: UUID


class OutputAuthorRow(Struct, gc=False):
    """`shows`: they have shown an output; before that nobody sees the name here."""

    account: AccountId
    username: str
    shows: bool


def _of_run(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case RunDeleted() | OutputDeleted():
            return (recorded.stream,)
        case AccountRegistered() | AccountErased():
            return ()
        case _:
            return (recorded.event.run,)


def _like(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is OutputUnliked else ()


def _facets(recorded: AnyRecorded) -> Iterable[str]:
    """All of them, as with workflows."""
    match recorded.event:
        case OutputPublished() | OutputWithdrawn() | OutputHidden() | OutputShownAgain():
            return (TAG,)
        case OutputDeleted() | RunDeleted():
            return (TAG,)
        case _:
            return ()


def _author(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case OutputPublished(owner=owner):
            return (owner,)
        case AccountErased():
            return (recorded.stream,)
        case _:
            return ()


KEY = ("run", "node", "index")
OUTPUTS = Table("shared_outputs", SharedOutputRow, KEY, _of_run)
WORDS = Table("shared_words", SharedWordsRow, KEY, _of_run)
TAGGED = Table("shared_tagged", SharedTaggedRow, (*KEY, "tag"), _of_run)
LIKES = Table("output_likes", OutputLikeRow, ("id",), _like)
FACETS = Table("shared_facets", FacetRow, ("facet", "name"), _facets)
AUTHORS = Table("output_authors", OutputAuthorRow, ("account",), _author)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    outputs, id = buffer[OUTPUTS.name], recorded.stream
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            buffer[AUTHORS.name].put(OutputAuthorRow(account, name, False))
        case AccountErased():
            buffer[AUTHORS.name].remove(id)
        case RunDeleted():
            count_tags([each.tag for each in buffer[TAGGED.name].of(id)], -1, buffer[FACETS.name])
            for table in (OUTPUTS, WORDS, TAGGED):
                buffer[table.name].remove_of(id)
        case OutputDeleted(node=node, index=index):
            outputs.remove((id, node, index))
            _find_by((id, node, index), buffer)
        case OutputPublished() as published:
            _publish(published, recorded, buffer)
        case OutputWithdrawn(run=run, node=node, index=index):
            outputs.change((run, node, index), shown=False, wanted=False)
            _find_by((run, node, index), buffer)
        case OutputHidden(run=run, node=node, index=index, reason=reason):
            outputs.change((run, node, index), shown=False, hidden_for=reason)
            _find_by((run, node, index), buffer)
        case OutputShownAgain(run=run, node=node, index=index):
            if row := outputs.edit((run, node, index)):
                row.shown, row.hidden_for = row.wanted, ""
                _find_by((run, node, index), buffer)
        case OutputMarked(run=run, node=node, index=index, sensitive=sensitive):
            outputs.change((run, node, index), sensitive=sensitive)
        case OutputLiked() as liked:
            buffer[LIKES.name].put(OutputLikeRow(id, liked.account, liked.output))
            if row := outputs.edit((liked.run, liked.node, liked.index)):
                row.likes += 1
                if recorded.version == 1 and row.owner != liked.account:
                    row.trend = raised(row.trend, recorded.at)
                _rank(row, buffer)
        case OutputUnliked() as unliked:
            buffer[LIKES.name].remove(id)
            if row := outputs.edit((unliked.run, unliked.node, unliked.index)):
                row.likes -= 1
                _rank(row, buffer)
        case _:
            pass


def _publish(published: OutputPublished, recorded: AnyRecorded, buffer: Buffer) -> None:
    outputs, output = buffer[OUTPUTS.name], published.output
    before: SharedOutputRow | None = outputs.get((published.run, output.node, output.index))
    stays = before is not None and before.shown
    outputs.put(
        SharedOutputRow(
            run=published.run,
            node=output.node,
            index=output.index,
            id=recorded.stream,
            owner=published.owner,
            shown=True,
            wanted=True,
            hidden_for="",
            sensitive=published.sensitive,
            name=published.name,
            description=published.description,
            tags=published.tags,
            file=output,
            graph=published.graph.digest if published.graph else None,
            values=published.values.digest if published.values else None,
            published_at=before.published_at if stays and before else recorded.at,
            likes=before.likes if before else 0,
            trend=before.trend if before else raised(NOTHING, recorded.at),
        )
    )
    buffer[AUTHORS.name].change(published.owner, shows=True)
    _find_by((published.run, output.node, output.index), buffer)


def _find_by(key: tuple[UUID, str, int], buffer: Buffer) -> None:
    """Let it be found by what it says now, while it is shown."""
    words, tagged, row = buffer[WORDS.name], buffer[TAGGED.name], buffer[OUTPUTS.name].get(key)
    words.remove(key)
    before = [each.tag for each in tagged.of(key[0]) if (each.node, each.index) == key[1:]]
    for tag in before:
        tagged.remove((*key, tag))
    count_tags(before, -1, buffer[FACETS.name])
    if row is None or not row.shown:
        return
    count_tags(row.tags, 1, buffer[FACETS.name])
    words.put(SharedWordsRow(*key, row.id, row.name, row.description, row.tags))
    for tag in row.tags:
        tagged.put(SharedTaggedRow(*key, tag, row.id, row.published_at, row.likes, row.trend))


def _rank(row: SharedOutputRow, buffer: Buffer) -> None:
    tagged = buffer[TAGGED.name]
    for each in tagged.of(row.run):
        if (each.node, each.index) == (row.node, row.index):
            tagged.change((row.run, row.node, row.index, each.tag), likes=row.likes, trend=row.trend)


TABLES: tuple[Table[Any], ...] = (OUTPUTS, WORDS, TAGGED, LIKES, FACETS, AUTHORS)
