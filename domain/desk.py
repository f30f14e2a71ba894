"""A desk: what ComfyUI's editor keeps of an account beside its workflows. Settings, and small files by their paths."""

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.file_name import folder
from domain.ids import AccountId
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.workflow import Content

MAX_SETTINGS = 2_000
MAX_SETTING_NAME = 200
INLINE_CHARACTERS = 4_096  # a longer value is kept beside the log
MAX_FILES = 2_000
MAX_FILES_BYTES = 64 * 1024 * 1024  # of all together, as they are now
MAX_PATH = 500
EXISTS = "File already exists"
NO_FILE = "There is no such file."


class Setting(Struct, frozen=True):
    """A JSON value: its text, or where that is kept."""

    text: str = ""
    content: Content | None = None


class DeskSettingSet(Event, frozen=True, kw_only=True, tag="desk.setting_set.v1"):
    owner: AccountId
    name: str
    setting: Setting


class DeskFileKept(Event, frozen=True, kw_only=True, tag="desk.file_kept.v1"):
    owner: AccountId
    path: str
    content: Content
    kept_at: datetime


class DeskFileMoved(Event, frozen=True, kw_only=True, tag="desk.file_moved.v1"):
    """In the place of whatever was there."""

    path: str
    to: str


class DeskFileRemoved(Event, frozen=True, kw_only=True, tag="desk.file_removed.v1"):
    path: str


DeskEvent: TypeAlias = DeskSettingSet | DeskFileKept | DeskFileMoved | DeskFileRemoved


class KeptFile(Struct, frozen=True):
    content: Content
    created_at: datetime
    modified_at: datetime


class Desk(Struct, frozen=True):
    owner: AccountId | None = None
    settings: dict[str, Setting] = {}
    files: dict[str, KeptFile] = {}


def evolve(desk: Desk, event: DeskEvent) -> Desk:
    match event:
        case DeskSettingSet(owner=owner, name=name, setting=setting):
            return replace(desk, owner=owner, settings=desk.settings | {name: setting})
        case DeskFileKept(owner=owner, path=path, content=content, kept_at=at):
            before = desk.files.get(path)
            file = KeptFile(content, before.created_at if before else at, at)
            return replace(desk, owner=owner, files=desk.files | {path: file})
        case DeskFileMoved(path=path, to=to):
            left = {name: file for name, file in desk.files.items() if name != path}
            return replace(desk, files=left | {to: desk.files[path]} if path in desk.files else left)
        case DeskFileRemoved(path=path):
            return replace(desk, files={name: file for name, file in desk.files.items() if name != path})


DESK: Decider[Desk, DeskEvent] = Decider("desk", Desk(), evolve, lambda desk: desk.owner)


def set_setting(desk: Desk, *, by: AccountId, name: str, setting: Setting) -> list[DeskEvent]:
    """Remember a value under a name."""
    if not 1 <= len(name) <= MAX_SETTING_NAME:
        reason = f"It must have 1 to {MAX_SETTING_NAME} characters."
        raise Invalid("The setting has no name that can be kept.", FieldError("id", reason))
    if len(setting.text) > INLINE_CHARACTERS:
        raise Invalid("The value is too long.", FieldError(name, "It is kept beside the log."))
    if desk.settings.get(name) == setting:
        return []
    if name not in desk.settings and len(desk.settings) >= MAX_SETTINGS:
        raise Conflict(f"An account has {MAX_SETTINGS} settings at most.")
    return [DeskSettingSet(owner=by, name=name, setting=setting)]


def keep_file(
    desk: Desk, *, by: AccountId, path: str, content: Content, at: datetime, overwrite: bool
) -> list[DeskEvent]:
    """Keep a file, or another content of it. The same content again changes nothing."""
    path = checked_path(path)
    before = desk.files.get(path)
    if before is not None and not overwrite:
        raise Conflict(EXISTS)
    if before is not None and before.content == content:
        return []
    if before is None and len(desk.files) >= MAX_FILES:
        raise Conflict(f"An account keeps {MAX_FILES} files at most beside its workflows.")
    others = sum(file.content.size_bytes for name, file in desk.files.items() if name != path)
    if others + content.size_bytes > MAX_FILES_BYTES:
        raise Conflict(f"An account's files beside its workflows have {MAX_FILES_BYTES} bytes at most.")
    return [DeskFileKept(owner=by, path=path, content=content, kept_at=at)]


def move_file(desk: Desk, *, path: str, to: str, overwrite: bool) -> list[DeskEvent]:
    """Give it another path."""
    to = checked_path(to)
    found(desk, path)
    if path == to:
        return []
    if to in desk.files and not overwrite:
        raise Conflict(EXISTS)
    return [DeskFileMoved(path=path, to=to)]


def remove_file(desk: Desk, *, path: str) -> list[DeskEvent]:
    """Keep it no longer."""
    found(desk, path)
    return [DeskFileRemoved(path=path)]


def found(desk: Desk, path: str) -> KeptFile:
    """Raises NotFound."""
    if path not in desk.files:
        raise NotFound(NO_FILE)
    return desk.files[path]


def checked_path(path: str) -> str:
    """As it is kept: without detours. Raises Invalid, NotAllowed for one that leads outside."""
    kept = folder(path)
    if path.replace("\\", "/").rpartition("/")[2] in ("", ".", ".."):
        raise Invalid("This is no path of a file.", FieldError("file", "It must end with a name."))
    if len(kept) > MAX_PATH:
        raise Invalid("The path is too long.", FieldError("file", f"It may have {MAX_PATH} characters."))
    return kept
