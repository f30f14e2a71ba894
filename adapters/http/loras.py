"""LoRAs: uploaded, shown, named, shared, taken off the shelf."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import ANYBODY, Cursor, Digest, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller, IdempotencyKey
from adapters.http.files import disposition, sent
from adapters.http.forms import Field, form
from adapters.http.parts import Parts
from adapters.http.past import AsOf
from adapters.http.reads import Reader, json_response
from adapters.http.uploads import read_digest
from adapters.http.versions import Graph
from adapters.http.workflow_answers import Revision
from commands.lora_references import Verified, verify
from commands.loras import ChangeLora, DeleteLora
from commands.past import as_it_was, read_moment, there
from commands.ports import Download
from commands.streams import Context
from domain.event import Event
from domain.ids import AccountId, LoraId, Position, shelf_id
from domain.lora import NO_LORA, SHELF, Shelf, owned
from domain.refusals import DomainError, FieldError, Invalid, NotFound
from projections import lora_shelf, past
from projections.lora_shelf import LORA_SHELF
from services.ports.uploading import Received
from workflows.graph import read_graph
from workflows.loras import Reference, checkpoint_of, references

Name = Annotated[str, Meta(description="Under which graphs name it.", examples=["Soft light"])]
TEXTS = ("name", "description", "sha256")
MAX_VERIFIED = 200
NO_FILE = "The form has no file."


class LoraAnswer(Struct):
    """`graph_name`: how a graph of anybody who may use it names it; the owner's graphs may say `name` as well."""

    id: UUID
    owner: UUID
    name: Name
    description: str
    file: str
    graph_name: str
    sha256: Digest
    size_bytes: int
    base_model: Annotated[str, Meta(description="A family; empty: nothing tells.", examples=["sdxl"])]
    trigger_words: list[str]
    rank: int
    dtype: Annotated[str, Meta(examples=["F16"])]
    tensors: int
    public: bool
    shared_with: Annotated[list[UUID], Meta(description="Accounts; its owner alone is told.")]
    revision: Revision
    created_at: datetime
    updated_at: datetime


class LoraPage(Struct):
    items: list[LoraAnswer]
    next_cursor: Cursor


class UploadedAnswer(Struct, frozen=True):
    """`position` 0: these very bytes were on the shelf already, as `id`."""

    id: LoraId
    url: str
    size_bytes: int
    position: Position


class ChangeLoraBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is. `shared_with`: ids or usernames of accounts, all of them."""

    name: Name | UnsetType = UNSET
    description: str | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    shared_with: tuple[str, ...] | UnsetType = UNSET


class VerifyBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    names: Annotated[tuple[str, ...], Meta(examples=[["Soft light"]])] = ()
    graph: Graph | None = None
    checkpoint: Annotated[str | None, Meta(examples=["sd_xl_base_1.0.safetensors"])] = None


class VerifiedAnswer(Struct, frozen=True):
    works: Annotated[bool, Meta(description="Whether all of them would.")]
    items: list[Verified]


@post(
    "/loras",
    status_code=201,
    request_max_body_size=None,
    responses=answers(201, UploadedAnswer, 408, 413, 415, 422, 507),
)
async def upload(
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    idempotency_key: IdempotencyKey = None,
) -> Response[UploadedAnswer]:
    """Upload a LoRA in one go, as a form: `file` (.safetensors), and if you like `name`, `description`, `sha256`.

    The same bytes again are the same LoRA, with and without an Idempotency-Key. Larger files, and worse connections,
    are better served by /uploads, which goes on where it broke off. 422 says what is wrong with the file.
    """
    received = await _received(request, parts, caller.account)
    made = received.upload
    assert made.lora is not None
    url = f"{parts.public_url}/api/v1/loras/{made.lora}"
    answer = UploadedAnswer(made.lora, url, received.offset, made.position)
    return Response(answer, status_code=201, headers={"Location": url})


@get("/loras", responses=answers(200, LoraPage, 401, 422))
async def listed(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    shelf: FromQuery[str] = "own",
    base_model: FromQuery[str] = "",
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """LoRAs, the last changed first: your `own`, those `shared` with you, or `public` ones."""
    return await reader.page(
        lora_shelf.loras, caller.account, shelf=shelf, base_model=base_model, limit=limit, cursor=cursor
    )


@post(
    "/loras/verify",
    dto=StrictBody[VerifyBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, VerifiedAnswer, 401, 415, 422),
)
async def verified(
    data: JSONBody[VerifyBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    idempotency_key: IdempotencyKey = None,
) -> VerifiedAnswer:
    """Which of these LoRAs would work here, and why the others would not. Nothing is run, nothing changes.

    `names`, as graphs say them, with the `checkpoint` they are meant for; or a whole `graph`. A LoRA does not work that
    is not there, not yours nor shared with you, made for another base model, or that no live backend takes.
    """
    asked: list[tuple[str, str | None, Reference | None]] = [
        (name, data.checkpoint, None) for name in data.names
    ]
    if data.graph is not None:
        read_graph(data.graph)
        asked += [(each.name, checkpoint_of(data.graph, each.node), each) for each in references(data.graph)]
    if not 1 <= len(asked) <= MAX_VERIFIED:
        reason = f"1 to {MAX_VERIFIED} of them, in `names` or in `graph`."
        raise Invalid("There are no LoRAs to look at, or too many.", FieldError("names", reason))
    found = await verify(asked, caller.account, parts.commands.needs)
    return VerifiedAnswer(works=all(each.works for each in found), items=found)


@get("/loras/{lora:uuid}", security=ANYBODY, responses=answers(200, LoraAnswer, 404, 422))
async def show(
    lora: FromPath[UUID], parts: NamedDependency[Parts], reader: NamedDependency[Reader], as_of: AsOf = None
) -> Response[bytes]:
    """One LoRA: your own, one shared with you, or a public one. `ETag`: its revision.

    With `as_of`, as it was at a position of the log (`1234`), at a time (`2026-11-21T12:00:00Z`) or after so many of
    its own events (`v3`); 404 before it existed, and where it was not yours to see then.
    """
    if as_of is not None:
        return await _past(LoraId(lora), as_of, parts, reader)
    row = await reader.one(lora_shelf.lora, lora, missing=NO_LORA)
    answer = json_response(row)
    answer.headers["ETag"] = f'"{msgspec.json.decode(row, type=_Revised).revision}"'
    return answer


@get("/loras/{lora:uuid}/file", responses=answers(200, bytes, 401, 404, 416, media_type="*/*"))
async def download(
    lora: FromPath[UUID],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
) -> Response[Any]:
    """The file itself, or a part of it (`Range`), for its owner alone: what is shared is shared for use."""
    shelf, _ = await parts.commands.needs.streams.load(SHELF, shelf_id(caller.account))
    found = owned(shelf, by=caller.account, lora=LoraId(lora))
    named = Download("application/octet-stream", disposition(found.file, shown=False))
    answer = await sent(parts.objects, found.content.digest, named, request)
    if answer is None:
        raise NotFound(NO_LORA)
    return answer


@patch(
    "/loras/{lora:uuid}",
    dto=StrictBody[ChangeLoraBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 409, 412, 415, 422),
)
async def change(
    lora: FromPath[UUID],
    data: JSONBody[ChangeLoraBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Rename, describe, share with everybody (`public`) or with some; all of it or nothing.

    Others may use what is shared in their runs; the file stays its owner's. With `If-Match`, only while nothing on
    your shelf has changed since that ETag: else 412.
    """
    wish = ChangeLora(
        by=caller.account,
        lora=LoraId(lora),
        name=None if data.name is UNSET else data.name,
        description=None if data.description is UNSET else data.description,
        public=None if data.public is UNSET else data.public,
        shared_with=None if data.shared_with is UNSET else data.shared_with,
        expected=expected,
    )
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


@delete("/loras/{lora:uuid}", status_code=200, responses=answers(200, Moved, 401, 404, 412))
async def remove(
    lora: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Take a LoRA off the shelf: no new run gets it. Its file goes when no submitted run needs it any more."""
    wish = DeleteLora(by=caller.account, lora=LoraId(lora), expected=expected)
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


async def _received(request: Request[Any, Any, Any], parts: Parts, account: AccountId) -> Received:
    """Nothing is left of what is not taken. Raises what is wrong with it."""
    said: dict[str, str] = {}
    begun: UUID | None = None
    try:
        async for field in form(request):
            if field.name == "file" and field.file is not None and begun is None:
                begun = await _file(request, field, said, parts, account)
            elif field.name in TEXTS and field.file is None:
                said[field.name] = await field.text()
            else:
                raise Invalid(
                    "The form has a field too many.", FieldError(field.name[:100], "It is not known here.")
                )
        if begun is None:
            raise Invalid(NO_FILE, FieldError("file", "It is missing."))
        status = await parts.uploading.status(account, begun)
        return await parts.uploading.whole(
            account,
            begun,
            name=said.get("name") or status.upload.name,
            description=said.get("description", ""),
            digest=read_digest(said.get("sha256")),
        )
    except BaseException:
        if begun is not None:
            with suppress(DomainError):
                await parts.uploading.cancel(account, begun)
        raise


async def _file(
    request: Request[Any, Any, Any], field: Field, said: dict[str, str], parts: Parts, account: AccountId
) -> UUID:
    file, announced = field.file or "", request.headers.get("content-length", "")
    about = max(1, int(announced) - _FORM_BYTES) if announced.isdigit() else 0
    begun = await parts.uploading.begin(
        account,
        file=file,
        name=said.get("name") or file.rpartition(".")[0][:100],
        description="",
        size_bytes=None,
        digest=None,
        about_bytes=about,
    )
    try:
        await parts.uploading.receive(account, begun.id, 0, field.chunks())
    except BaseException:
        with suppress(DomainError):
            await parts.uploading.cancel(account, begun.id)
        raise
    return begun.id


async def _past(id: LoraId, as_of: str, parts: Parts, reader: Reader) -> Response[bytes]:
    """Raises Invalid, NotFound. Others see it as it was while they could, if they still can."""
    moment = read_moment(as_of)
    owner = await _owner(id, parts, reader)
    found = await as_it_was(parts.log, SHELF, shelf_id(owner), moment, lambda event: _about(event, id))
    there(_visible(found.then, id, reader.account), "LoRA")
    rows = past.rows(LORA_SHELF, found.events)["loras"]
    row = next(each for each in rows if each.id == id)
    answer = json_response(msgspec.json.encode(lora_shelf.shown(row, reader.account)))
    answer.headers["ETag"] = f'"{row.revision}"'
    return answer


async def _owner(id: LoraId, parts: Parts, reader: Reader) -> AccountId:
    """Of one that is seen now; else it can only be one's own, of before it was deleted. Raises NotFound."""
    with suppress(NotFound):
        row = await reader.one(lora_shelf.lora, id, missing=NO_LORA)
        return AccountId(msgspec.json.decode(row, type=_Owned).owner)
    if reader.account is None:
        raise NotFound(NO_LORA)
    return reader.account


def _visible(shelf: Shelf, id: LoraId, viewer: AccountId | None) -> bool:
    found = shelf.find(id)
    if found is None:
        return False
    return shelf.owner == viewer or found.public or viewer in found.shared_with


def _about(event: Event, id: LoraId) -> bool:
    return getattr(event, "lora", None) == id


_FORM_BYTES = 128 * 1024  # of names and descriptions, at most


class _Revised(Struct):
    revision: int


class _Owned(Struct):
    owner: UUID


ROUTER = Router(
    "/", route_handlers=[upload, verified, listed, show, download, change, remove], tags=["loras"]
)
