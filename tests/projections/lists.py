"""Every list that a read model answers with, and where its middle is among the rows of `bench.crowd`."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from domain.account import Role
from domain.ids import AccountId, CommentId, WorkflowId
from domain.report import Kind as Reported
from projections import (
    audit_trail,
    collections,
    comments,
    feed,
    follows,
    gallery,
    inputs,
    lora_shelf,
    notices,
    people,
    preset_shelf,
    reports,
    run_status,
    shared_outputs,
    shares,
    template_shelf,
    usage,
    workflow_shelf,
)
from projections.reading import Cursor
from projections.reports import State
from projections.run_pages import OutputFilters, RunFilters

Middle = Callable[[int], str]
"""The cursor of the middle of so many rows."""
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
POPULAR = WorkflowId(UUID(int=1))  # most comments are on it, half of all workflows were forked from it


class Ask(Protocol):
    """A query of a list, for an account."""

    def __call__(
        self, cursor: Cursor, account: AccountId, limit: int, after: str | None
    ) -> Awaitable[bytes]: ...


class Listed(Struct, frozen=True):
    ask: Ask
    middle: Middle
    rights: str = ""


def _ours(query: Callable[..., Awaitable[bytes]], middle: Middle, **named: Any) -> Listed:
    """A list of the account's own."""
    return Listed(lambda cursor, account, limit, after: query(cursor, account, limit, after, **named), middle)


def _everybodys(
    query: Callable[..., Awaitable[bytes]], middle: Middle, rights: str = "", **named: Any
) -> Listed:
    return Listed(lambda cursor, account, limit, after: query(cursor, limit, after, **named), middle, rights)


def timed(rows: int) -> str:
    middle = rows // 2
    return f"{(int(BEGUN.timestamp()) + middle) * 1_000_000}.{UUID(int=middle)}"


def trashed(rows: int) -> str:
    middle = rows // 2
    return f"{(int(BEGUN.timestamp()) + 31 * 86_400 + middle) * 1_000_000}.{UUID(int=middle)}"


def position(rows: int) -> str:
    return str(rows // 2)


def ranked(most: int) -> Middle:
    return lambda rows: f"{most // 2}.{UUID(int=rows // 2)}"


LISTS: dict[str, Listed] = {
    **{
        f"gallery by {sort}{' with sensitive' if sensitive else ''}{' of ' + tag if tag else ''}": _everybodys(
            gallery.published,
            {
                gallery.Sort.NEW: timed,
                gallery.Sort.LIKES: ranked(1000),
                gallery.Sort.RUNS: ranked(5000),
                gallery.Sort.TRENDING: ranked(1_000_000),
            }[sort],
            sort=sort,
            sensitive=sensitive,
            tag=tag,
        )
        for sort in gallery.Sort
        for tag in ("", "face", "tag7")
        for sensitive in (False, True)
    },
    "gallery of a rare word": _everybodys(gallery.published, timed, words="workflow 77"),
    "gallery of a rare word by likes": _everybodys(
        gallery.published, ranked(1000), words="workflow 77", sort=gallery.Sort.LIKES
    ),
    "gallery of a word of all": _everybodys(gallery.published, timed, words="soft light"),
    "gallery of a word of nothing": _everybodys(gallery.published, timed, words="zebra"),
    "tags": _everybodys(gallery.tags, lambda rows: "50.tag5"),
    "tags of outputs": _everybodys(shared_outputs.tags, lambda rows: "50.tag5"),
    **{
        f"shared outputs by {sort}{' of ' + tag if tag else ''}{' with ' + words if words else ''}": _everybodys(
            shared_outputs.shown,
            {
                shared_outputs.Sort.NEW: timed,
                shared_outputs.Sort.LIKES: ranked(1000),
                shared_outputs.Sort.TRENDING: ranked(1_000_000),
            }[sort],
            sort=sort,
            tag=tag,
            words=words,
        )
        for sort in shared_outputs.Sort
        for tag in ("", "face", "tag7")
        for words in ("", "picture 77", "soft light")
        if not (
            tag == "face" and words == "picture 77"
        )  # all that have the tag are looked through, in its index
    },
    **{
        f"mixed by {sort}{' of ' + tag if tag else ''}{' with ' + words if words else ''}": _everybodys(
            shared_outputs.shown, middle, sort=sort, tag=tag, words=words, mixed=True
        )
        for sort, middle in (
            (shared_outputs.Sort.NEW, timed),
            (shared_outputs.Sort.LIKES, ranked(1000)),
        )
        for tag, words in (("", ""), ("tag7", ""), ("", "take 77"))
    },
    "what somebody shows": _ours(shared_outputs.of, timed),
    "what somebody has published": _ours(gallery.of, timed),
    "own workflows": _ours(workflow_shelf.own_workflows, timed),
    "own workflows, created": _ours(workflow_shelf.own_workflows, timed, sort="created"),
    "own workflows, by name": _ours(
        workflow_shelf.own_workflows, lambda rows: f"{UUID(int=0)}.workflow {rows // 2}", sort="name"
    ),
    "own workflows of a word": _ours(workflow_shelf.own_workflows, timed, words="workflow 77"),
    "own workflows of no word": _ours(workflow_shelf.own_workflows, timed, words="zebra"),
    "own workflows of a tag": _ours(workflow_shelf.own_workflows, timed, tag="tag7"),
    "forks": Listed(
        lambda cursor, account, limit, after: workflow_shelf.forks(cursor, POPULAR, limit, after), timed
    ),
    "trash": _ours(workflow_shelf.trash, trashed),
    "versions": Listed(
        lambda cursor, account, limit, after: workflow_shelf.versions(cursor, POPULAR, limit, after), position
    ),
    **{
        f"runs {filters}": _ours(run_status.own_runs, timed, filters=filters)
        for filters in (
            RunFilters(),
            RunFilters(status="queued"),
            RunFilters(status="running"),
            RunFilters(status="failed"),
            RunFilters(status="cancelled"),
            RunFilters(status="succeeded"),
            RunFilters(workflow=UUID(int=6)),
            RunFilters(workflow=UUID(int=600000)),
            RunFilters(template="card"),
            RunFilters(template="none"),
            RunFilters(backend="gpu-2"),
            RunFilters(backend="gone"),
            RunFilters(backend="none"),
            RunFilters(lora="ink.safetensors"),
            RunFilters(model="base.safetensors"),
            RunFilters(model="none.safetensors"),
            RunFilters(starred=True),
            RunFilters(starred=False),
            RunFilters(q="fox"),
            RunFilters(q="zebra"),
            RunFilters(since=BEGUN),
            RunFilters(until=BEGUN.replace(second=10)),
            RunFilters(status="failed", template="card", q="zebra"),
        )
    },
    "batches": _ours(run_status.own_batches, timed),
    **{
        f"outputs {filters}": _ours(run_status.own_outputs, timed, filters=filters)
        for filters in (
            OutputFilters(),
            OutputFilters(workflow=UUID(int=6)),
            OutputFilters(starred=True),
            OutputFilters(starred=False),
            OutputFilters(media_type="image"),
            OutputFilters(media_type="video"),
            OutputFilters(until=BEGUN.replace(second=10)),
        )
    },
    "inputs": _ours(inputs.own_inputs, timed),
    "comments": Listed(
        lambda cursor, account, limit, after: comments.said(cursor, POPULAR, limit, after, parent=None),
        position,
    ),
    "answers": Listed(
        lambda cursor, account, limit, after: comments.said(
            cursor, POPULAR, limit, after, parent=CommentId(UUID(int=1))
        ),
        position,
    ),
    "followers": _ours(follows.followers, position),
    "following": _ours(follows.following, position),
    "feed": _ours(feed.of, position),
    "notices": _ours(notices.of, position),
    "unread notices": _ours(notices.of, position, unread=True),
    **{
        f"reports {state} {kind}": _everybodys(reports.queue, position, "m", state=state, kind=kind)
        for state in (None, *State)
        for kind in (None, *Reported)
    },
    "collections": _ours(collections.of, position),
    "a collection": Listed(
        lambda cursor, account, limit, after: collections.members(cursor, UUID(int=2), limit, after),
        lambda rows: "250",
    ),
    **{
        f"templates {named}": _everybodys(template_shelf.templates, timed, **named)
        for named in (
            {},
            {"category": "portrait"},
            {"category": "rare"},
            {"family": "none"},
            {"text": "zebra"},
            {"owner": AccountId(UUID(int=1))},
            {"owner": AccountId(UUID(int=2))},
        )
    },
    **{
        f"presets {named}": _everybodys(preset_shelf.presets, timed, **named)
        for named in ({}, {"template": "rare"}, {"template": "card"}, {"owner": AccountId(UUID(int=1))})
    },
    **{
        f"loras {named}": Listed(
            lambda cursor, account, limit, after, named=named: lora_shelf.loras(
                cursor, account, limit=limit, after=after, **named
            ),
            timed,
        )
        for named in (
            {"shelf": "own"},
            {"shelf": "shared"},
            {"shelf": "public"},
            {"shelf": "own", "base_model": "Flux"},
            {"shelf": "public", "base_model": "Flux"},
        )
    },
    **{
        f"people {named}": _everybodys(people.newest, timed, "a", **named)
        for named in (
            {},
            {"role": Role.MODERATOR},
            {"role": Role.ADMIN},
            {"suspended": True},
            {"suspended": False},
        )
    },
    **{
        f"people named {named}": Listed(
            lambda cursor, account, limit, after, named=named: people.named(
                cursor, "per", limit, after, **named
            ),
            lambda rows: f"person{rows // 2}",
            "a",
        )
        for named in ({}, {"role": Role.MODERATOR}, {"suspended": True})
    },
    "shares": _ours(shares.own, position),
    "usage by day": _ours(usage.own_days, lambda rows: "2026-06-01"),
    **{
        f"all events {named}": _everybodys(
            audit_trail.events,
            position,
            "a",
            filters=audit_trail.EventFilters(**named),
            oldest_first=oldest_first,
        )
        for oldest_first in (False, True)
        for named in (
            {},
            {"topic": "workflow.deleted.v1"},
            {"topic": "workflow.version_saved.v1"},
            {"stream": UUID(int=1)},
            {"stream": UUID(int=7)},
            {"owner": UUID(int=2)},
            {"actor": "services/keeping"},
            {"since": BEGUN, "until": BEGUN.replace(minute=10)},
            {"after": 100, "before": 110},
        )
    },
    "history": Listed(
        lambda cursor, account, limit, after: audit_trail.history(cursor, account, "workflow", limit, after),
        position,
    ),
}
