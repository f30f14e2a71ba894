"""Time travel: workflows, runs and accounts as they were, and what differs between two versions of a graph."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import ANYBODY, NodeId, answers
from adapters.http.callers import Caller
from adapters.http.outputs import with_urls
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from adapters.http.renditions import with_rendition
from adapters.http.sources import with_source
from adapters.http.versions import NO_VERSION, with_graphs
from commands.known_accounts import known
from commands.past import FORMS, Past, as_it_was, read_moment, there
from domain.account import ACCOUNT, Role
from domain.event import Event
from domain.ids import AccountId, Digest, limits_id
from domain.limits import LIMITS, Allowance
from domain.refusals import Conflict, NotFound
from domain.run import RUN, Run, Status
from domain.workflow import WORKFLOW, Workflow, WorkflowVersionSaved, visible_then
from projections import past, run_status, workflow_shelf
from projections.run_status import RUN_STATUS
from projections.workflow_shelf import WORKFLOW_SHELF
from workflows.diff import GraphDiff, as_text, diff
from workflows.graph import Graph, Node

AsOf: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="as_of",
        description=f"Show it as it was then. {FORMS} Left out: as it is.",
        examples=[],
    ),
]
NOW = "9" * 18  # a position that no log reaches


class NodeNameAnswer(Struct):
    id: NodeId
    class_type: str


class InputAnswer(Struct):
    """A value, or, where the input is a link, the node it comes from (`class_type` null: there is no such node)."""

    value: Any = UNSET
    node: NodeId | UnsetType = UNSET
    class_type: str | UnsetType | None = UNSET
    slot: int | UnsetType = UNSET


class InputChangeAnswer(Struct):
    """`before` or `after` is left out where the node has no such input. `rewired`: a link is in it."""

    input: str
    rewired: bool
    before: InputAnswer | UnsetType = UNSET
    after: InputAnswer | UnsetType = UNSET


class NewNodeAnswer(NodeNameAnswer):
    inputs: dict[str, InputAnswer]


class NodeChangeAnswer(Struct):
    before: NodeNameAnswer
    after: NodeNameAnswer
    inputs: list[InputChangeAnswer]


class DiffAnswer(Struct):
    """`renumbered`: pairs of ids, before and after, of nodes that are the same under another id."""

    workflow: UUID
    before: Annotated[int, Meta(description="The number of the version.")]
    after: int
    same: Annotated[bool, Meta(description="Whether both compute the same.")]
    added: list[NewNodeAnswer]
    removed: list[NodeNameAnswer]
    changed: list[NodeChangeAnswer]
    renumbered: list[tuple[str, str]]


class AccountAnswer(Struct, kw_only=True):
    """An account as an administrator sees it. `username` is null where it was forgotten since.

    `email`, `weight` and `limits` are those of now.
    """

    id: UUID
    username: str | None
    erased: bool
    role: Role
    suspended_for: Annotated[str | None, Meta(description="The reason; null: they are not suspended.")]
    email: str
    weight: float
    limits: Annotated[
        Allowance, Meta(description="What it was given in place of what all have; null: as all.")
    ]
    sessions: Annotated[int, Meta(description="How many are open.")]
    revision: Annotated[int, Meta(description="How many events it has had.")]
    registered_at: datetime
    updated_at: datetime
    position: Annotated[int, Meta(description="Of its last event then.")]


async def past_workflow(id: UUID, as_of: str, parts: Parts, by: AccountId | None) -> Response[bytes]:
    """Raises Invalid, NotFound. A stranger sees what was public then, of what is public now."""
    found: Past[Workflow] = await as_it_was(parts.log, WORKFLOW, id, read_moment(as_of), _saves_a_version)
    there(visible_then(found.then, found.now, by=by), "workflow")
    tables = past.rows(WORKFLOW_SHELF, found.events)
    (workflow,) = tables["workflows"]
    newest = max(tables["workflow_versions"], key=lambda version: version.number)
    fields = msgspec.json.decode(
        msgspec.json.encode(workflow_shelf.shown(workflow)), type=dict[str, msgspec.Raw]
    )
    version = msgspec.json.encode(workflow_shelf.shown_version(newest))
    answer = json_response(await with_graphs(version, parts, fields))
    answer.headers["ETag"] = f'"{workflow.revision}"'
    return answer


async def past_run(id: UUID, as_of: str, parts: Parts, by: AccountId) -> Response[bytes]:
    """Raises Invalid, NotFound."""
    found: Past[Run] = await as_it_was(parts.log, RUN, id, read_moment(as_of))
    there(found.then.owner == by and found.then.status not in (Status.UNKNOWN, Status.DELETED), "run")
    tables = past.rows(RUN_STATUS, found.events)
    (run,) = tables["runs"]
    row = msgspec.to_builtins(run_status.shown(run, tables["outputs"], tables["run_traits"]))
    await with_rendition(await with_source(row, parts), by, parts)
    return json_response(msgspec.json.encode(with_urls(row, parts)))


@get("/admin/accounts/{account:uuid}", responses=answers(200, AccountAnswer, 401, 403, 404, 422))
async def show_account(
    account: FromPath[UUID],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    as_of: AsOf = None,
) -> AccountAnswer:
    """An account, as it is or as it was `as_of` a position, a time or a version (`v3`: after its third event)."""
    found = await as_it_was(parts.log, ACCOUNT, account, read_moment(NOW if as_of is None else as_of))
    there(found.then.id is not None, "account")
    needs = parts.commands.needs
    given, _ = await needs.streams.load(LIMITS, limits_id(AccountId(account)))
    (first,), last = await needs.vault.open(found.events[:1]), found.events[-1]
    return AccountAnswer(
        id=account,
        username=None if found.now.erased else first.event.username.text,
        erased=found.then.erased,
        role=found.then.role,
        suspended_for=found.then.suspended,
        email=(await known(AccountId(account), needs)).email,
        weight=given.weight,
        limits=given.limits,
        sessions=len(found.then.sessions),
        revision=last.version,
        registered_at=first.at,
        updated_at=last.at,
        position=last.position,
    )


@get(
    "/workflows/{workflow:uuid}/versions/{number:int}/diff/{other:int}",
    security=ANYBODY,
    responses=answers(200, DiffAnswer, 404, 409),
)
async def show_diff(
    request: Request[Any, Any, Any],
    workflow: FromPath[UUID],
    number: FromPath[int],
    other: FromPath[int],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
) -> Response[bytes]:
    """What differs between two versions: nodes added, removed, changed and rewired. Other ids alone are no change.

    With `Accept: text/plain` it is written for people, a line for each difference.
    """
    before = await _graph(workflow, number, parts, reader)
    after = await _graph(workflow, other, parts, reader)
    found = await asyncio.to_thread(diff, before, after)
    wanted = request.accept.best_match([MediaType.JSON, MediaType.TEXT], default=MediaType.JSON)
    if wanted == MediaType.TEXT:
        text = await asyncio.to_thread(as_text, found)
        answer = Response((text or "There is no difference.").encode() + b"\n", media_type=MediaType.TEXT)
    else:
        answer = json_response(await asyncio.to_thread(_written, workflow, number, other, found))
    answer.headers["Vary"] = "Accept"
    return answer


def _written(workflow: UUID, number: int, other: int, found: GraphDiff) -> bytes:
    about = {"workflow": workflow, "before": number, "after": other, "same": found.empty}
    return msgspec.json.encode(about | msgspec.structs.asdict(found))


async def _graph(workflow: UUID, number: int, parts: Parts, reader: Reader) -> Graph:
    row = await reader.one(workflow_shelf.version, workflow, number, missing=NO_VERSION)
    named = msgspec.json.decode(row, type=_Named)
    if named.graph_digest is None:
        raise Conflict(f"Version {number} has no graph to compare: {named.unconverted}")
    body = await parts.commands.needs.contents.get(named.graph_digest)
    if body is None:
        raise NotFound("The graph of this version is not there.")
    return await asyncio.to_thread(msgspec.json.decode, body, type=dict[str, Node])


def _saves_a_version(event: Event) -> bool:
    return isinstance(event, WorkflowVersionSaved)


class _Named(Struct):
    graph_digest: Digest | None
    unconverted: str


ROUTER = Router("/", route_handlers=[show_diff], tags=["workflows"])
ADMIN = Router("/", route_handlers=[show_account], tags=["admin"])
