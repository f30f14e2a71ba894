"""Pictures to make others from: uploaded once, named by id or digest as often as one likes, nobody else's business."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, delete, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, FromQuery

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.callers import Caller
from adapters.http.files import disposition, one_chunk, sent
from adapters.http.input_answers import InputAnswer, InputPage, StoredInputAnswer
from adapters.http.parts import Parts
from adapters.http.problems import Malformed, TooLarge, WrongMediaType
from adapters.http.reads import Reader, json_response
from commands.inputs import DeleteInput, StoreInput
from commands.named_inputs import NamedInput, StoreNamedInput
from commands.ports import Download
from commands.streams import Accepted, Context
from domain.file_name import INPUT as TYPE
from domain.file_name import FileName, usable_name
from domain.ids import AccountId, Digest, InputId, input_id
from domain.input import INPUT, InputPicture, owned
from domain.refusals import Conflict, NotFound
from projections import inputs as shelf
from workflows.media import ending_of

MAX_BYTES = 32 * 1024 * 1024
MAX_KEPT_BYTES = 60 * 1024 * 1024  # encoded anew; an executor reads no more
SLACK_BYTES = 64 * 1024  # of the form around it
MAX_INPUTS = 5_000  # of one account
MULTIPART = "multipart/form-data"
SHOWN = {"image/png"}
NO_INPUT = "There is no such input."
ONE_PICTURE = "The form must have one file in it: the picture, as the field `image`."


@dataclass
class WithPicture(Operation):
    """The form, for readers of OpenAPI."""

    def __post_init__(self) -> None:
        picture = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"image": picture}, required=["image"])
        self.request_body = RequestBody(content={MULTIPART: OpenAPIMediaType(schema=form)}, required=True)


async def picture(
    request: Request[Any, Any, Any], context: NamedDependency[Context]
) -> AsyncIterator[UploadFile]:
    """The form's file. After `context`, which reads the body where there is a key; of strangers nothing is read.

    Raises Malformed, WrongMediaType.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MULTIPART:
        raise WrongMediaType(f"The picture must be sent as a form, with 'Content-Type: {MULTIPART}'.")
    try:
        form = await request.form()
    except (UnicodeDecodeError, LookupError) as error:
        raise Malformed("A field of the form is no text of the charset that it names.") from error
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    try:
        if len(files) != 1:
            raise Malformed(ONE_PICTURE)
        yield files[0]
    finally:
        for file in files:
            await file.close()


@post(
    "/inputs",
    status_code=201,
    request_max_body_size=MAX_BYTES + SLACK_BYTES,
    dependencies={"picture": Provide(picture)},
    operation_class=WithPicture,
    responses=answers(201, StoredInputAnswer, 408, 409, 413, 415, 422),
)
async def upload(
    picture: NamedDependency[UploadFile],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
) -> Response[StoredInputAnswer]:
    """Keep a picture or a mask as the form's field `image`: PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF, 32 MiB at most.

    It is encoded anew as PNG, upright, and without anything its file told of place and time. Uploaded again it is
    the same input. The editor shows it under the name of its file, or the next free one. Name its `id` or `digest`
    where a graph loads a picture, or as `image` or `mask` of /generate.
    """
    if await reader.ask(shelf.count, caller.account) >= MAX_INPUTS:
        raise Conflict(f"An account keeps {MAX_INPUTS} inputs at most. Delete some first.")
    bare = await parts.pictures.reencode(picture.file)
    if len(bare.body) > MAX_KEPT_BYTES:
        raise TooLarge("Encoded anew, the picture is too large.")
    digest = Digest((await asyncio.to_thread(sha256, bare.body)).hexdigest())
    await parts.objects.put(digest, one_chunk(bare.body), len(bare.body))
    stored = StoreInput(
        by=caller.account,
        digest=digest,
        name=picture.filename,
        media_type=bare.media_type,
        size_bytes=len(bare.body),
        width=bare.width,
        height=bare.height,
    )
    wish: StoreInput | StoreNamedInput = stored
    if not await reader.ask(shelf.is_named, caller.account, digest):
        wish = StoreNamedInput(name=FileName(usable_name(picture.filename), "", TYPE), stored=stored)
    accepted: Accepted | NamedInput = await parts.commands.run(wish, context)
    id = input_id(caller.account, digest)
    answer = StoredInputAnswer(
        id, digest, bare.media_type, len(bare.body), bare.width, bare.height, accepted.position
    )
    return Response(answer, status_code=201, headers={"Location": f"{parts.public_url}/api/v1/inputs/{id}"})


@get("/inputs", responses=answers(200, InputPage, 401, 422))
async def mine(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Your inputs, the newest first."""
    return await reader.page(shelf.own_inputs, caller.account, limit=limit, cursor=cursor)


@get("/inputs/{input:uuid}", responses=answers(200, InputAnswer, 401, 404, 422))
async def show(
    input: FromPath[UUID], caller: NamedDependency[Caller], reader: NamedDependency[Reader]
) -> Response[bytes]:
    """One of your inputs."""
    return json_response(await reader.one(shelf.input, input, missing=NO_INPUT))


@get(
    "/inputs/{input:uuid}/image",
    responses=answers(200, bytes, 401, 404, 416, media_type="image/png"),
)
async def show_image(
    input: FromPath[UUID],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
) -> Response[Any]:
    """The file itself."""
    state = await _owned(InputId(input), caller.account, parts)
    shown = Download(
        state.media_type,
        disposition(f"{input}{ending_of(state.media_type)}", shown=state.media_type in SHOWN),
    )
    answer = await sent(parts.objects, state.digest, shown, request)
    if answer is None:
        raise NotFound(NO_INPUT)
    return answer


@delete("/inputs/{input:uuid}", status_code=200, responses=answers(200, Moved, 401, 404))
async def remove(
    input: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Forget an input. Runs that wait for it still get it."""
    accepted = await parts.commands.run(DeleteInput(by=caller.account, input=InputId(input)), context)
    return Moved(accepted.position)


async def _owned(id: InputId, by: AccountId, parts: Parts) -> InputPicture:
    """Raises NotFound."""
    state, _ = await parts.commands.needs.streams.load(INPUT, id)
    owned(state, by=by)
    return state


ROUTER = Router("/", route_handlers=[upload, mine, show, show_image, remove], tags=["inputs"])
