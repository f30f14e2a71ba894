"""The scripts that custom nodes bring for the editor, and what those load: kept here, so that no backend is asked."""

from hashlib import sha256
from urllib.parse import quote

from adapters.http.gateway.call import Answer, Call, json, text
from commands.known_web_files import web_files
from workflows.web_files import FOLDER, MEDIA_TYPES, SCRIPTS, WebFile, ending

NOT_THERE = "404: Not Found"
NOT_MODIFIED = 304
UNKNOWN = "application/octet-stream"
GUARDED = (
    (b"cache-control", b"private, no-cache"),
    (b"x-content-type-options", b"nosniff"),
)
PICTURE = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; sandbox")
"""A drawing opened by itself runs nothing."""


async def listed(call: Call) -> Answer:
    """GET /extensions: the addresses of all scripts."""
    files = await _files(call)
    return json([f"{FOLDER}{quote(path)}" for path in sorted(files) if ending(path) in SCRIPTS[:1]])


async def one(call: Call) -> Answer:
    """GET /extensions/{path}."""
    path = call.names["path"]
    file = (await _files(call)).get(path)
    if file is None:
        return text(NOT_THERE, 404)
    etag = f'"{sha256("".join(file.pieces).encode()).hexdigest()[:32]}"'
    headers = ((b"etag", etag.encode()), *GUARDED, *((PICTURE,) if ending(path) == ".svg" else ()))
    if etag in call.header("if-none-match"):
        return Answer(status=NOT_MODIFIED, headers=headers)
    contents = call.parts.commands.needs.contents
    pieces = [await contents.get(piece) for piece in file.pieces]
    body = b"".join(piece for piece in pieces if piece is not None)
    if len(body) != file.size_bytes:
        return text(NOT_THERE, 404)
    return Answer(body=body, media_type=MEDIA_TYPES.get(ending(path), UNKNOWN), headers=headers)


async def _files(call: Call) -> dict[str, WebFile]:
    needs = call.parts.commands.needs
    return await web_files(await needs.backends.now(), needs)
