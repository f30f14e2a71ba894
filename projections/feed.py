"""The feed: what happened that others may want to hear of. Who hears what is found when they ask: nothing is copied."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from domain.comment import CommentPosted
from domain.event import AnyRecorded
from domain.follow import FollowBegun
from domain.ids import AccountId
from domain.shared_output import OutputPublished
from domain.workflow import WorkflowPublished
from projections import places
from projections.paging import bounded, numbered, page
from projections.places import PlaceRow, fold_place
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one


class Kind(StrEnum):
    PUBLISHED = "published"
    COMMENTED = "commented"
    MENTIONED = "mentioned"
    FOLLOWED = "followed"


class FeedRow(Struct, gc=False):
    """`place`: among the rows of one event. `reader`: for nobody else; None: for all who follow `actor`."""

    position: int
    place: int
    kind: Kind
    actor: AccountId
    reader: AccountId | None
    workflow: UUID | None
    comment: UUID | None
    at: datetime
    output: UUID | None = None


ENTRIES = Table("feed", FeedRow, ("position", "place"), grows_only=True)
PLACES = Table("feed_places", PlaceRow, places.KEY, places.touched)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    entries, known = buffer[ENTRIES.name], buffer[PLACES.name]
    position, id, at = recorded.position, recorded.stream, recorded.at
    match recorded.event:
        case WorkflowPublished():
            if place := known.get((id, "", 0)):
                entries.put(FeedRow(position, 0, Kind.PUBLISHED, place.owner, None, id, None, at))
        case OutputPublished(owner=owner, run=run, output=output):
            place = known.get((run, output.node, output.index))
            if place is None or not place.public:  # not each time that something else is said of it
                entries.put(FeedRow(position, 0, Kind.PUBLISHED, owner, None, None, None, at, id))
        case CommentPosted(owner=owner, workflow=workflow, output=shown, mentions=mentions):
            on = None if shown is None else shown.id
            entries.put(FeedRow(position, 0, Kind.COMMENTED, owner, None, workflow, id, at, on))
            for place, account in enumerate(mentions, 1):
                if account != owner:
                    row = FeedRow(position, place, Kind.MENTIONED, owner, account, workflow, id, at, on)
                    entries.put(row)
        case FollowBegun(follower=follower, followed=followed):
            entries.put(FeedRow(position, 0, Kind.FOLLOWED, follower, followed, None, None, at))
        case _:
            pass
    fold_place(recorded, known, PlaceRow)


FEED = Projection(
    name="feed",
    version=3,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(ENTRIES, PLACES),
    fold=fold,
    events=(*places.EVENTS, CommentPosted, FollowBegun),
    reads=frozenset({"at"}),
)

_NEXT = "position < %(before)s ORDER BY position DESC LIMIT %(limit)s::int + 1"
# Each source gives its next few; of one comment that both names the reader and is by somebody they follow, one is told.
_OF = page(
    f"""SELECT json_build_object('kind', told.kind, 'by', coalesce(
            (SELECT name.username FROM read.gallery_authors AS name WHERE name.account = told.actor),
            (SELECT name.username FROM read.output_authors AS name WHERE name.account = told.actor),
            (SELECT name.username FROM read.comment_speakers AS name WHERE name.account = told.actor),
            (SELECT name.username FROM read.follow_counts AS name WHERE name.account = told.actor), ''
        ), 'yours', told.actor = %(reader)s, 'at', told.at, 'workflow', (
            SELECT json_build_object('id', entry.id, 'name', entry.name)
            FROM read.gallery AS entry WHERE entry.id = told.workflow
        ), 'output', (
            SELECT json_build_object('id', shown.id, 'name', shown.name)
            FROM read.shared_outputs AS shown WHERE shown.id = told.output
        ), 'comment', (
            SELECT json_build_object('id', said.id, 'text', said.text)
            FROM read.comments AS said WHERE said.id = told.comment
        )) AS item, told.position
    FROM (
        (
            SELECT own.* FROM read.feed AS own
            WHERE own.actor = %(reader)s AND own.reader IS NULL AND own.{_NEXT}
        )
        UNION ALL
        (SELECT mine.* FROM read.feed AS mine WHERE mine.reader = %(reader)s AND mine.{_NEXT})
        UNION ALL
        (
            SELECT theirs.* FROM read.follows AS follow CROSS JOIN LATERAL (
                SELECT one.* FROM read.feed AS one
                WHERE one.actor = follow.followed AND one.reader IS NULL AND NOT EXISTS (
                    SELECT FROM read.feed AS named
                    WHERE named.position = one.position AND named.reader = %(reader)s
                ) AND one.{_NEXT}
            ) AS theirs
            WHERE follow.follower = %(reader)s
        )
    ) AS told
    ORDER BY told.position DESC LIMIT %(limit)s::int + 1""",
    "position::text",
)

_BEHIND_ALL = 2**62


async def of(cursor: Cursor, reader: AccountId, limit: int, after: str | None = None) -> bytes:
    """What somebody wants to hear of, the newest first. Raises Invalid."""
    asked = {"reader": reader, "limit": bounded(limit), "before": numbered(after, _BEHIND_ALL)}
    return await one(cursor, _OF, asked) or b""
