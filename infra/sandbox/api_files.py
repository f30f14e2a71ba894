"""The routes for files: /view, /upload/image and /upload/mask."""

import io
import mimetypes
import os
from email.utils import formatdate
from pathlib import Path

from msgspec import json
from PIL import Image, ImageChops

from infra.sandbox.folders import ANNOTATION, KINDS, OutsideError
from infra.sandbox.http import BROKEN, Request, Response, ok
from infra.sandbox.multipart import Field, fields
from infra.sandbox.state import Sandbox
from workflows.protocol.server import Uploaded

ACTIVE = {"text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css"}


def get_view(sandbox: Sandbox, request: Request) -> Response:
    filename = request.query.get("filename")
    if filename is None:
        return Response(404)
    found = ANNOTATION.search(filename)
    kind = found.group(1) if found else request.query.get("type", "output")
    filename = ANNOTATION.sub("", filename)
    if not filename or filename.startswith("/") or ".." in filename or kind not in KINDS:
        return Response(400)
    try:
        place = sandbox.folders.inside(kind, request.query.get("subfolder", ""))
    except OutsideError:
        return Response(403)
    path = place / os.path.basename(filename)  # folders inside the name are dropped
    if not path.is_file():
        return Response(404)
    named = ("content-disposition", f'filename="{path.name}"')
    if "preview" in request.query:
        return _preview(path, request.query["preview"], named)
    if request.query.get("channel") in ("rgb", "a"):
        return _channel(path, request.query["channel"], named)
    return _whole(path, request, named)


def _preview(path: Path, wanted: str, named: tuple[str, str]) -> Response:
    format, _, quality = wanted.partition(";")
    format = format if format in ("webp", "jpeg") else "webp"
    with Image.open(path) as image:
        shown = image.convert("RGB") if format == "jpeg" else image
        buffer = io.BytesIO()
        shown.save(buffer, format, quality=int(quality) if quality.isdigit() else 90)
    return Response(200, buffer.getvalue(), f"image/{format}", (named,))


def _channel(path: Path, channel: str, named: tuple[str, str]) -> Response:
    buffer = io.BytesIO()
    with Image.open(path) as image:
        if channel == "rgb":
            image.convert("RGB").save(buffer, "PNG")
        else:
            alpha = image.convert("RGBA").getchannel("A")
            Image.merge("RGBA", (alpha.point(lambda _: 0),) * 3 + (alpha,)).save(buffer, "PNG")
    return Response(200, buffer.getvalue(), "image/png", (named,))


def _whole(path: Path, request: Request, named: tuple[str, str]) -> Response:
    stat = path.stat()
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    media_type = "application/octet-stream" if media_type in ACTIVE else media_type
    modified = ("last-modified", formatdate(stat.st_mtime, usegmt=True))
    headers = (named, ("etag", etag), modified, ("accept-ranges", "bytes"))
    if request.headers.get("if-none-match") == etag:
        return Response(304, headers=headers)
    body = path.read_bytes()
    first, _, last = request.headers.get("range", "").removeprefix("bytes=").partition("-")
    if not first.isdigit():
        return Response(200, body, media_type, headers)
    start, end = int(first), min(int(last) if last.isdigit() else stat.st_size, stat.st_size - 1)
    span = ("content-range", f"bytes {start}-{end}/{stat.st_size}")
    return Response(206, body[start : end + 1], media_type, (*headers, span))


def post_upload_image(sandbox: Sandbox, request: Request) -> Response:
    form = fields(request.body, request.headers.get("content-type", ""))
    return _upload(sandbox, form, None)


def post_upload_mask(sandbox: Sandbox, request: Request) -> Response:
    """The original's picture with the alpha of what is sent. Where there is no such picture, nothing is written."""
    form = fields(request.body, request.headers.get("content-type", ""))
    return _upload(sandbox, form, form["original_ref"].value)


def _text(form: dict[str, Field], name: str, default: str = "") -> str:
    return form[name].value.decode() if name in form else default


def _upload(sandbox: Sandbox, form: dict[str, Field], original: bytes | None) -> Response:
    if "image" not in form:
        return Response(400)
    sent = form["image"]
    kind, subfolder = _text(form, "type", "input") or "input", _text(form, "subfolder")
    if not sent.filename or kind not in KINDS:
        return BROKEN
    try:
        place = sandbox.folders.inside(kind, subfolder)
        sandbox.folders.inside(kind, os.path.join(subfolder, sent.filename))
    except OutsideError:
        return Response(400)
    place.mkdir(parents=True, exist_ok=True)
    path = Path(os.path.normpath(place / sent.filename))
    if _text(form, "overwrite") not in ("true", "1"):
        path = _free(path, sent.value)
    body = sent.value if original is None else _masked(sandbox, original, sent.value)
    if body is not None:
        path.write_bytes(body)
    name = os.path.join(os.path.dirname(sent.filename), path.name)
    return ok(Uploaded(name, subfolder, kind))


def _free(path: Path, body: bytes) -> Path:
    """A name that is not taken, or is by the same bytes."""
    tried, number = path, 1
    while tried.exists() and tried.read_bytes() != body:
        tried = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    return tried


def _masked(sandbox: Sandbox, reference: bytes, mask: bytes) -> bytes | None:
    wanted = json.decode(reference)
    if not wanted.get("filename") or ".." in wanted["filename"] or wanted["filename"].startswith("/"):
        return None
    place = sandbox.folders.inside(wanted.get("type", "input"), wanted.get("subfolder", ""))
    path = place / wanted["filename"]
    if not path.is_file():
        return None
    buffer = io.BytesIO()
    with Image.open(path) as picture, Image.open(io.BytesIO(mask)) as drawn:
        if picture.size != drawn.size:
            raise ValueError("the mask has another size than the picture")
        alpha = drawn.convert("RGBA").getchannel("A")
        result = picture.convert("RGBA")
        result.putalpha(ImageChops.multiply(alpha, Image.new("L", alpha.size, 255)))
        result.save(buffer, "PNG")
    return buffer.getvalue()
