"""Uploads that may be gone on with after the connection broke: tus 1.0, as its clients speak it.

Core protocol with creation, creation-with-upload, checksum, termination and expiration. Source: tus.io, protocols.
"""

import base64
import binascii
from email.utils import format_datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID, uuid5

from litestar import HttpMethod, Request, Response, Router, delete, get, patch, post, route
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.callers import Caller, IdempotencyKey
from adapters.http.forms import stream
from adapters.http.parts import Parts
from adapters.http.problems import Malformed, WrongMediaType
from commands.ports import ObjectTooLarge, Outdated
from domain.ids import Digest
from domain.refusals import FieldError, Invalid
from services.ports.uploading import Checksum, Received

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,termination,expiration"
ALGORITHMS = ("sha1", "sha256", "md5")
PIECE = "application/offset+octet-stream"
NO_VERSION = f"This server speaks tus {VERSION}. Say so in the header Tus-Resumable."
MAX_METADATA = 32 * 1024

Resumable: TypeAlias = Annotated[
    str, HeaderParameter(name="Tus-Resumable", description=f"Always {VERSION}.", examples=[])
]
Offset: TypeAlias = Annotated[
    int | None,
    HeaderParameter(name="Upload-Offset", description="Where these bytes begin: as HEAD has told.", ge=0),
]
Length: TypeAlias = Annotated[
    int | None, HeaderParameter(name="Upload-Length", description="The size of the whole, in bytes.", ge=0)
]
Metadata: TypeAlias = Annotated[
    str,
    HeaderParameter(
        name="Upload-Metadata",
        description="Pairs of a key and a value in base64, between commas: `filename` is needed; `name`, "
        "`description` and `sha256`, the file's in hexadecimal, may be there.",
    ),
]
Sum: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Upload-Checksum",
        description=f"One of {', '.join(ALGORITHMS)}, a space, and the sum of this body in base64.",
    ),
]


class UploadAnswer(Struct, frozen=True):
    """`lora`: what came of it, once it is whole; `position` is its event's place in the log."""

    id: UUID
    name: str
    file: str
    offset: Annotated[int, Meta(description="How many bytes have arrived.")]
    size_bytes: int | None
    expires_at: str
    lora: UUID | None
    position: int


@route("/uploads", http_method=[HttpMethod.OPTIONS], include_in_schema=False)
async def options(parts: NamedDependency[Parts]) -> Response[None]:
    """What this server can do. For anybody."""
    headers = {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(parts.uploading.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        "Allow": "OPTIONS, POST",
    }
    return Response(None, status_code=204, headers=headers)


@post(
    "/uploads",
    status_code=201,
    request_max_body_size=None,
    responses=answers(201, None, 408, 409, 412, 413, 415, 422, 460, 507),
)
async def begin(
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    resumable: Resumable = "",
    length: Length = None,
    metadata: Metadata = "",
    checksum: Sum = None,
    idempotency_key: IdempotencyKey = None,
) -> Response[None]:
    """Begin the upload of a LoRA. `Location` is where its bytes go, by PATCH; some may come along with this.

    tus 1.0 (tus.io): any of its clients does the rest. What is not gone on with is forgotten at `Upload-Expires`.
    """
    _check_version(resumable)
    if request.headers.get("upload-defer-length") is not None or length is None:
        raise Malformed("Say in Upload-Length how many bytes there will be.")
    said = read_metadata(metadata)
    file = said.get("filename", "")
    upload = await parts.uploading.begin(
        caller.account,
        file=file,
        name=said.get("name") or _stem(file),
        description=said.get("description", ""),
        size_bytes=length,
        digest=read_digest(said.get("sha256")),
        id=None if idempotency_key is None else uuid5(caller.account, f"upload {idempotency_key}"),
    )
    received = Received(upload, 0)
    if request.headers.get("content-type"):
        received = await _receive(request, parts, caller, upload.id, 0, checksum)
    elif length == 0:  # there is nothing to wait for, and nothing that could be a LoRA
        received = await parts.uploading.receive(caller.account, upload.id, 0, stream(request))
    headers = _headers(received) | {"Location": f"{parts.public_url}/api/v1/uploads/{upload.id}"}
    return Response(None, status_code=201, headers=headers)


@get("/uploads/{upload:uuid}", responses=answers(200, UploadAnswer, 401, 404))
async def show(
    upload: FromPath[UUID], parts: NamedDependency[Parts], caller: NamedDependency[Caller]
) -> Response[UploadAnswer]:
    """How far an upload is: with HEAD, as tus asks, in `Upload-Offset`."""
    found = await parts.uploading.status(caller.account, upload)
    answer = UploadAnswer(
        id=upload,
        name=found.upload.name,
        file=found.upload.file,
        offset=found.offset,
        size_bytes=found.upload.size_bytes,
        expires_at=found.upload.expires_at.isoformat(),
        lora=found.upload.lora,
        position=found.upload.position,
    )
    return Response(answer, headers=_headers(found) | {"Cache-Control": "no-store"})


@patch(
    "/uploads/{upload:uuid}",
    status_code=204,
    request_max_body_size=None,
    responses=answers(204, None, 408, 409, 412, 413, 415, 422, 460, 507),
)
async def go_on(
    upload: FromPath[UUID],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    resumable: Resumable = "",
    offset: Offset = None,
    checksum: Sum = None,
) -> Response[None]:
    """The next bytes. With the last ones the file is looked at and put on the shelf: `Content-Location` is the LoRA.

    409: they do not follow those that are there. 460: the checksum is wrong; nothing of this body is kept.
    422: it is no LoRA; then nothing is left of the upload.
    """
    await parts.uploading.status(caller.account, upload)  # a stranger learns nothing of the rest
    _check_version(resumable)
    if offset is None:
        raise Malformed("Say in Upload-Offset where these bytes begin.")
    received = await _receive(request, parts, caller, upload, offset, checksum)
    headers = _headers(received)
    if received.upload.lora is not None:
        headers["Content-Location"] = f"{parts.public_url}/api/v1/loras/{received.upload.lora}"
        headers["Position"] = str(received.upload.position)
    return Response(None, status_code=204, headers=headers)


@post(
    "/uploads/{upload:uuid}",
    status_code=204,
    request_max_body_size=None,
    responses=answers(204, None, 408, 409, 412, 413, 415, 422, 460, 507),
)
async def overridden(
    upload: FromPath[UUID],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    resumable: Resumable = "",
    offset: Offset = None,
    checksum: Sum = None,
    idempotency_key: IdempotencyKey = None,
) -> Response[None]:
    """PATCH or DELETE, for clients that cannot say so but in `X-HTTP-Method-Override`."""
    match request.headers.get("x-http-method-override", "").upper():
        case "PATCH":
            return await go_on.fn(upload, request, parts, caller, resumable, offset, checksum)  # type: ignore[no-any-return]
        case "DELETE":
            return await end.fn(upload, parts, caller)  # type: ignore[no-any-return]
        case _:
            await parts.uploading.status(caller.account, upload)
            raise Malformed("Say PATCH or DELETE in X-HTTP-Method-Override.")


@delete("/uploads/{upload:uuid}", status_code=204, responses=answers(204, None, 401, 404, 409))
async def end(
    upload: FromPath[UUID], parts: NamedDependency[Parts], caller: NamedDependency[Caller]
) -> Response[None]:
    """End an upload; nothing of it is left. A LoRA that came of it stays."""
    await parts.uploading.cancel(caller.account, upload)
    return Response(None, status_code=204, headers={"Tus-Resumable": VERSION})


async def _receive(
    request: Request[Any, Any, Any],
    parts: Parts,
    caller: Caller,
    upload: UUID,
    offset: int,
    checksum: str | None,
) -> Received:
    found = await parts.uploading.status(caller.account, upload)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != PIECE:
        raise WrongMediaType(f"The bytes of an upload are sent as {PIECE}.")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and offset + int(announced) > found.upload.room_bytes:
        raise ObjectTooLarge("These are more bytes than Upload-Length has announced.")
    summed = None if checksum is None else _checksum(checksum)
    return await parts.uploading.receive(caller.account, upload, offset, stream(request), summed)


def read_metadata(text: str) -> dict[str, str]:
    """Raises Malformed."""
    said: dict[str, str] = {}
    if len(text) > MAX_METADATA:
        raise Malformed("Upload-Metadata is too long.")
    for pair in filter(None, (each.strip() for each in text.split(","))):
        key, _, value = pair.partition(" ")
        try:
            said[key] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Malformed("Upload-Metadata is not made of keys and values in base64.") from error
    return said


def read_digest(text: str | None) -> Digest | None:
    """Raises Invalid."""
    if not text:
        return None
    if len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
        raise Invalid("The SHA-256 is not usable.", FieldError("sha256", "It has 64 hexadecimal digits."))
    return Digest(text.lower())


def _checksum(text: str) -> Checksum:
    algorithm, _, value = text.partition(" ")
    try:
        summed = base64.b64decode(value.strip(), validate=True)
    except binascii.Error as error:
        raise Malformed("Upload-Checksum is not an algorithm and a sum in base64.") from error
    if algorithm not in ALGORITHMS:
        raise Malformed(f"Upload-Checksum may be of {', '.join(ALGORITHMS)}.")
    return Checksum(algorithm, summed)


def _stem(file: str) -> str:
    return file.rpartition(".")[0][:100]


def _check_version(resumable: str) -> None:
    if resumable != VERSION:
        raise Outdated(NO_VERSION)


def _headers(received: Received) -> dict[str, str]:
    upload = received.upload
    headers = {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(received.offset),
        "Upload-Expires": format_datetime(upload.expires_at, usegmt=True),
    }
    if upload.size_bytes is not None:
        headers["Upload-Length"] = str(upload.size_bytes)
    return headers


ROUTER = Router("/", route_handlers=[options, begin, show, go_on, overridden, end], tags=["loras"])
