"""An editor's files: workflows, each of which is one of ours, and small ones that lie on the account's desk."""

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from adapters.http.gateway import shelf
from adapters.http.gateway.call import Answer, Call, json, text
from commands.desk import KeepFile, MoveFile, RemoveFile, kept_body
from domain.desk import DESK, EXISTS, NO_FILE, KeptFile, checked_path
from domain.file_name import folder
from domain.ids import desk_id
from domain.refusals import Conflict, Invalid, NotAllowed, NotFound
from projections.workflow_shelf import Newest

KINDS = {".json": "application/json", ".css": "text/css", ".txt": "text/plain; charset=utf-8"}
"""What a file is handed out as, by its ending: never a page."""


File: TypeAlias = KeptFile | Newest


class FileInfo(Struct, frozen=True):
    """Times in seconds since 1970."""

    path: str
    size: int
    modified: float
    created: float


class Entry(Struct, frozen=True, omit_defaults=True):
    """As the second listing tells of files and folders."""

    name: str
    path: str
    type: str
    size: int | None = None
    modified: float | None = None


async def listing(call: Call) -> Answer:
    """The files of a folder, by their paths from there."""
    if not (asked := call.query.get("dir", "")):
        return text("Directory not provided", 400)
    begin = f"{top}/" if (top := folder(asked)) else ""
    deep = _yes(call, "recurse")
    found = await _below(call, begin, deep=deep)
    if not found and not await _below(call, begin, deep=True):
        return text("Directory not found", 404)
    if _yes(call, "full_info"):
        return json(found)
    names = [each.path for each in found]
    return json([[name, *name.split("/")] for name in names] if _yes(call, "split") else names)


async def listing_v2(call: Call) -> Answer:
    """Everything below a folder, with the folders."""
    try:
        top = folder(call.query.get("path", ""))
    except (NotAllowed, Invalid):
        return text("Invalid path requested", 400)
    files = await _files(call)
    if top in files:
        return text("Requested path is not a directory", 400)
    begin = f"{top}/" if top else ""
    below = [_info(path, files[path]) for path in files if path.startswith(begin)]
    if top and not below:
        return text("Requested path not found", 404)
    folders = {
        folder
        for each in below
        for folder in _folders(each.path)
        if folder.startswith(begin) and folder != top
    }
    entries = [Entry(_last(path), path, "directory") for path in folders]
    entries += [Entry(_last(each.path), each.path, "file", each.size, each.modified) for each in below]
    return json(sorted(entries, key=lambda each: (each.type != "directory", each.name.lower(), each.path)))


async def show(call: Call) -> Answer:
    path = checked_path(call.names["file"])
    body = await _body(call, _there(await _files(call), path))
    known = (kind for ending, kind in KINDS.items() if path.endswith(ending))
    media_type = next(known, "application/octet-stream")
    return Answer(body=body, media_type=media_type, headers=((b"x-content-type-options", b"nosniff"),))


async def save(call: Call) -> Answer:
    """A workflow, whose next version this is, or another file."""
    path = checked_path(call.names["file"])
    overwrite = call.query.get("overwrite", "true") != "false"
    body = await call.body(call.parts.commands.needs.limits.graph_bytes)
    await _keep(call, path, body, overwrite=overwrite)
    return await _told(call, path)


async def remove(call: Call) -> Answer:
    """A workflow goes into the trash."""
    path = checked_path(call.names["file"])
    await _remove(call, path, _there(await _files(call), path))
    return Answer(status=204)


async def move(call: Call) -> Answer:
    path, to = checked_path(call.names["file"]), checked_path(call.names["dest"])
    overwrite = call.query.get("overwrite", "true") != "false"
    files = await _files(call)
    file, other = _there(files, path), files.get(to)
    if other is not None and not overwrite:
        raise Conflict(EXISTS)
    if path != to:
        await _move(call, (path, file), (to, other))
    return await _told(call, to)


async def _files(call: Call) -> dict[str, File]:
    """Everything that the caller has, by its path."""
    account = call.caller.account
    desk, _ = await call.parts.commands.needs.streams.load(DESK, desk_id(account))
    return {**desk.files, **await shelf.shelved(call)}


async def _below(call: Call, begin: str, *, deep: bool) -> list[FileInfo]:
    """Their paths are from there."""
    found = []
    for path, file in (await _files(call)).items():
        rest = path[len(begin) :]
        if path.startswith(begin) and (deep or "/" not in rest):
            found.append(_info(rest, file))
    return found


def _there(files: dict[str, File], path: str) -> File:
    """Raises NotFound."""
    if path not in files:
        raise NotFound(NO_FILE)
    return files[path]


async def _body(call: Call, file: File) -> bytes:
    if isinstance(file, Newest):
        return await shelf.body_of(call, file)
    return await kept_body(file.content, call.parts.commands.needs)


async def _keep(call: Call, path: str, body: bytes, *, overwrite: bool) -> None:
    """Raises Conflict."""
    if not shelf.is_workflow(path):
        wish = KeepFile(by=call.caller.account, path=path, body=body, overwrite=overwrite)
        await call.parts.commands.run(wish, call.context())
        return
    before = (await shelf.shelved(call)).get(path)
    if before is not None and not overwrite:
        raise Conflict(EXISTS)
    await shelf.save(call, path, body, before)


async def _remove(call: Call, path: str, file: File) -> None:
    if isinstance(file, Newest):
        await shelf.throw_away(call, file.id)
    else:
        await call.parts.commands.run(RemoveFile(by=call.caller.account, path=path), call.context())


async def _move(call: Call, source: tuple[str, File], target: tuple[str, File | None]) -> None:
    """In the place of what is there."""
    (path, file), (to, other) = source, target
    if isinstance(file, Newest) and shelf.is_workflow(to):
        shelf.name_of(to)
        if other is not None:
            await _remove(call, to, other)
        await shelf.rename(call, file, to)
    elif isinstance(file, Newest) or shelf.is_workflow(to):
        await _keep(call, to, await _body(call, file), overwrite=True)
        await _remove(call, path, file)
    else:
        await call.parts.commands.run(MoveFile(by=call.caller.account, path=path, to=to), call.context())


async def _told(call: Call, path: str) -> Answer:
    """What was done to it, as it was asked to be told."""
    if not _yes(call, "full_info"):
        return json(path)
    return json(_info(path, _there(await _files(call), path)))


def _info(path: str, file: File) -> FileInfo:
    size = file.size_bytes if isinstance(file, Newest) else file.content.size_bytes
    return FileInfo(path, size, _seconds(file.modified_at), _seconds(file.created_at))


def _seconds(at: datetime) -> float:
    return at.timestamp()


def _yes(call: Call, name: str) -> bool:
    return call.query.get(name, "").lower() == "true"


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: place + 1]) for place in range(len(parts))]


def _last(path: str) -> str:
    return path.rpartition("/")[2]
