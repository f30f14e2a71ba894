"""Files by the names that ComfyUI gives them: what runs have made, and what was uploaded. Nobody else's, ever."""

from datetime import datetime
from email.utils import format_datetime
from mimetypes import guess_type
from typing import Any

from msgspec import Struct

from adapters.http.files import GUARDED, SMALL_BYTES, asked_for, closing, disposition
from adapters.http.gateway.call import Answer, Call, json
from adapters.http.inputs import MAX_INPUTS
from commands.named_inputs import MadeFile, named_input, resolve_files
from commands.ports import ObjectMissingError
from domain.file_name import INPUT, OUTPUT, TYPES, FileName, annotated, checked_name, checked_type, folder
from domain.ids import Digest
from domain.refusals import Invalid, NotFound
from domain.rendition import MAX_QUALITY, MIN_QUALITY, STEP, Format, Rendition
from projections import inputs, output_names

NO_FILE = "There is no such file."
NO_PICTURE = "This file is no picture that can be shown in another way."
MAX_LISTED = 5_000
MAX_PICTURE_BYTES = 64 * 1024 * 1024
SHOWN = ("image/", "video/", "audio/", "text/plain", "application/json", "model/")
ACTIVE = {"image/svg+xml"}
"""A browser would execute it."""
NEVER_CHANGES = "private, max-age=3600"
MAY_CHANGE = "private, no-cache"


class Found(Struct, frozen=True):
    digest: Digest
    media_type: str
    at: datetime | None = None


async def view(call: Call) -> Answer:
    """One file; `preview=webp;80` and `channel=rgb` or `a` show a picture in another way."""
    if (asked := call.query.get("filename")) is None:
        raise NotFound(NO_FILE)
    name = viewed(asked, call.query.get("type", OUTPUT), call.query.get("subfolder", ""))
    found = await find(call, name)
    if found is None:
        raise NotFound(NO_FILE)
    if "preview" in call.query:
        return await _preview(call, name, found)
    if (channel := call.query.get("channel")) in ("rgb", "a"):
        made = await call.parts.pictures.channel(await body_of(call, found.digest), alpha=channel == "a")
        return Answer(body=made, media_type="image/png", headers=_headers(name, "image/png"))
    return await _sent(call, name, found)


def viewed(asked: str, type: str, subfolder: str) -> FileName:
    """Folders inside the name are dropped, as ComfyUI does. Raises Invalid, NotAllowed."""
    filename, type = annotated(asked, type)
    checked_type(type)
    whole = filename.replace("\\", "/")
    if whole.startswith("/") or ".." in whole:
        checked_name(whole)
    return FileName(checked_name(whole.rpartition("/")[2]), folder(subfolder), type)


async def find(call: Call, name: FileName) -> Found | None:
    """A file of whoever asks."""
    if name.type != INPUT and (made := await _made(call, name)) is not None:
        return Found(made.digest, made.media_type, made.at)
    file = await named_input(name, call.caller.account, call.parts.commands.needs)
    return None if file is None else Found(file.digest, file.media_type)


async def with_files(graph: dict[str, Any], call: Call) -> dict[str, Any]:
    """The graph with the caller's own files in it by their digests. Raises InvalidFiles."""

    async def made(name: FileName) -> MadeFile | None:
        found = await _made(call, name)
        if found is None:
            return None
        return MadeFile(found.digest, found.media_type, found.size_bytes, found.width, found.height)

    needs = call.parts.commands.needs
    return await resolve_files(graph, call.caller.account, call.context(), needs, made)


async def listed(call: Call) -> Answer:
    """The names of an account's files of a type, the newest first."""
    type = call.names["type"]
    if type not in TYPES:
        return json({"error": "Invalid directory type"}, 400)
    reader, account = await call.reader(), call.caller.account
    names: list[str] = await reader.ask(inputs.named, account, MAX_INPUTS, type=type)
    if type != INPUT:
        made = await reader.ask(output_names.newest, account, type, MAX_LISTED)
        names = [each.filename for each in made if not each.subfolder] + names
    return json(names)


async def body_of(call: Call, digest: Digest) -> bytes:
    """Of a picture. Raises NotFound, Invalid, ObjectsAwayError."""
    size = await call.parts.objects.size(digest)
    if size is None:
        raise NotFound(NO_FILE)
    if size > MAX_PICTURE_BYTES:
        raise Invalid(NO_PICTURE)
    try:
        return b"".join([piece async for piece in call.parts.objects.read(digest)])
    except ObjectMissingError:
        raise NotFound(NO_FILE) from None


async def _made(call: Call, name: FileName) -> output_names.NamedOutput | None:
    reader = await call.reader()
    found: output_names.NamedOutput | None = await reader.ask(output_names.by_name, call.caller.account, name)
    return found


async def _preview(call: Call, name: FileName, found: Found) -> Answer:
    """Kept for the next one who asks."""
    format, _, quality = call.query["preview"].partition(";")
    known = Format.JPEG if format == "jpeg" and "a" not in call.query.get("channel", "") else Format.WEBP
    wanted = Rendition(format=known, quality=_quality(quality), metadata=False)
    try:
        made = await call.parts.renditions.of(found.digest, wanted)
    except ObjectMissingError:
        raise NotFound(NO_FILE) from None
    shown = found if made is None else Found(made.digest, made.media_type, found.at)
    return await _sent(call, name, shown)


def _quality(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        return Rendition().quality
    return min(MAX_QUALITY, max(MIN_QUALITY, int(text[:4]) // STEP * STEP))


async def _sent(call: Call, name: FileName, found: Found) -> Answer:
    """Through us wherever it lies: the editor may load nothing from elsewhere. Raises NotFound, NotThere."""
    size = await call.parts.objects.size(found.digest)
    if size is None:
        raise NotFound(NO_FILE)
    media_type = _media_type(name, found)
    headers, etag = _headers(name, media_type, found), f'"{found.digest}"'
    if etag in call.header("if-none-match"):
        return Answer(status=304, headers=headers)
    asked = {each: said for each in ("range", "if-range") if (said := call.header(each))}
    part = asked_for(asked, size, etag)
    start, end = part or (0, size)
    if part is not None:
        headers += ((b"content-range", f"bytes {start}-{end - 1}/{size}".encode()),)
    status = 200 if part is None else 206
    body = call.parts.objects.read(found.digest, start, end)
    if end - start <= SMALL_BYTES:
        try:
            whole = b"".join([piece async for piece in body])
        except ObjectMissingError:
            raise NotFound(NO_FILE) from None
        return Answer(status=status, body=whole, media_type=media_type, headers=headers)
    headers += ((b"content-length", str(end - start).encode()),)
    return Answer(status=status, media_type=media_type, headers=headers, stream=closing(body))


def _media_type(name: FileName, found: Found) -> str:
    kind = found.media_type
    if kind == "application/octet-stream":
        kind = guess_type(name.filename)[0] or kind
    return kind if kind.startswith(SHOWN) and kind not in ACTIVE else "application/octet-stream"


def _headers(name: FileName, media_type: str, found: Found | None = None) -> tuple[tuple[bytes, bytes], ...]:
    """ComfyUI's, and those that keep a browser from taking a file for a page."""
    shown = media_type != "application/octet-stream"
    said = GUARDED | {"Content-Disposition": _disposition(name.filename, shown=shown)}
    if found is not None:
        said["ETag"], said["Accept-Ranges"] = f'"{found.digest}"', "bytes"
        said["Cache-Control"] = MAY_CHANGE if name.type == INPUT else NEVER_CHANGES
        if found.at is not None:
            said["Last-Modified"] = format_datetime(found.at, usegmt=True)
    return tuple((each.lower().encode(), value.encode()) for each, value in said.items())


def _disposition(filename: str, *, shown: bool) -> str:
    plain = filename.isascii() and filename.isprintable() and not set('"\\') & set(filename)
    return f'filename="{filename}"' if plain and shown else disposition(filename, shown=shown)
