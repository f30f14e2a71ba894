"""The LoRAs of one account: a shelf of adapter files, each under a name that no other on that shelf has.

One stream is one shelf, not one LoRA: names are unique and quotas are kept by the decision itself.
"""

import re
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, Digest, LoraId
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.workflow import Content


class LoraSummary(Struct, frozen=True):
    """What a file tells of itself. `base_model`: a family such as `sdxl`, empty where nothing tells it."""

    base_model: str = ""
    trigger_words: tuple[str, ...] = ()
    rank: int = 0
    dtype: str = ""
    tensors: int = 0


class LoraUploaded(Event, frozen=True, kw_only=True, tag="lora.uploaded.v1"):
    """`file`: what it is called in the object store and on backends; it carries the digest of its bytes."""

    owner: AccountId
    lora: LoraId
    name: str
    file: str
    content: Content
    description: str = ""
    summary: LoraSummary = LoraSummary()


class LoraRenamed(Event, frozen=True, kw_only=True, tag="lora.renamed.v1"):
    lora: LoraId
    name: str


class LoraDescribed(Event, frozen=True, kw_only=True, tag="lora.described.v1"):
    lora: LoraId
    description: str


class LoraShared(Event, frozen=True, kw_only=True, tag="lora.shared.v1"):
    """With whom from now on, and with nobody else: everybody (`public`), and these accounts."""

    lora: LoraId
    public: bool = False
    accounts: tuple[AccountId, ...] = ()


class LoraUnshared(Event, frozen=True, kw_only=True, tag="lora.unshared.v1"):
    lora: LoraId


class LoraDeleted(Event, frozen=True, kw_only=True, tag="lora.deleted.v1"):
    lora: LoraId


LoraEvent: TypeAlias = LoraUploaded | LoraRenamed | LoraDescribed | LoraShared | LoraUnshared | LoraDeleted

MAX_NAME = 100
MAX_DESCRIPTION = 10_000
MAX_STEM = 50  # of a file's name, before the digest
MAX_SHARED_WITH = 100
REMEMBERED = 1_000  # deleted ones, so that deleting again is no error
SUFFIX = ".safetensors"
SUFFIXES = (SUFFIX, ".sft")
NO_LORA = "There is no such LoRA."
PATH = re.compile(r"user-(?P<owner>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(?P<file>[^/\\\x00]+)")
FILE = re.compile(r"[A-Za-z0-9._-]+-(?P<digest>[0-9a-f]{64})\.safetensors")


class Quota(Struct, frozen=True):
    """How many LoRAs an account may have, and of how many bytes together."""

    count: int
    size_bytes: int


class Lora(Struct, frozen=True):
    id: LoraId
    name: str
    file: str
    content: Content
    description: str = ""
    summary: LoraSummary = LoraSummary()
    public: bool = False
    shared_with: tuple[AccountId, ...] = ()


class Shelf(Struct, frozen=True):
    owner: AccountId | None = None
    loras: tuple[Lora, ...] = ()
    deleted: tuple[LoraId, ...] = ()

    def find(self, id: LoraId) -> Lora | None:
        return next((lora for lora in self.loras if lora.id == id), None)

    def named(self, name: str) -> Lora | None:
        """As people and graphs write it: in any case, with or without the file's ending."""
        wanted = _key(name)
        return next((lora for lora in self.loras if _key(lora.name) == wanted), None)

    def holding(self, digest: Digest) -> Lora | None:
        return next((lora for lora in self.loras if lora.content.digest == digest), None)

    @property
    def size_bytes(self) -> int:
        return sum(lora.content.size_bytes for lora in self.loras)


def evolve(shelf: Shelf, event: LoraEvent) -> Shelf:
    match event:
        case LoraUploaded() as up:
            lora = Lora(up.lora, up.name, up.file, up.content, up.description, up.summary)
            return replace(shelf, owner=up.owner, loras=(*shelf.loras, lora))
        case LoraRenamed(name=name):
            return _changed(shelf, event.lora, name=name)
        case LoraDescribed(description=description):
            return _changed(shelf, event.lora, description=description)
        case LoraShared(public=public, accounts=accounts):
            return _changed(shelf, event.lora, public=public, shared_with=accounts)
        case LoraUnshared():
            return _changed(shelf, event.lora, public=False, shared_with=())
        case LoraDeleted(lora=id):
            left = tuple(lora for lora in shelf.loras if lora.id != id)
            return replace(shelf, loras=left, deleted=(*shelf.deleted, id)[-REMEMBERED:])


SHELF: Decider[Shelf, LoraEvent] = Decider("lora", Shelf(), evolve, lambda shelf: shelf.owner)


def upload(shelf: Shelf, *, uploaded: LoraUploaded, quota: Quota) -> list[LoraEvent]:
    """Put a file on the shelf. The very bytes that are there already are not put there a second time."""
    if shelf.find(uploaded.lora) or uploaded.lora in shelf.deleted:
        return []
    if shelf.holding(uploaded.content.digest):
        return []
    wanted = replace(
        uploaded, name=plain_name(uploaded.name), description=plain_description(uploaded.description)
    )
    fits(shelf, name=wanted.name, size_bytes=uploaded.content.size_bytes, quota=quota)
    return [wanted]


def fits(shelf: Shelf, *, name: str, size_bytes: int, quota: Quota, waiting: int = 0) -> None:
    """Whether there is room for one more of this name, beside `waiting` others on their way."""
    if shelf.named(name) is not None:
        raise Conflict("You have a LoRA of this name already. Give it another one, or delete the old one.")
    if len(shelf.loras) + waiting >= quota.count:
        raise Conflict(f"You may keep {quota.count} LoRAs at most. Delete one that you do not need.")
    left = quota.size_bytes - shelf.size_bytes
    if size_bytes > left:
        raise Conflict(
            f"Your LoRAs may have {quota.size_bytes} bytes altogether; {max(left, 0)} are left for this one."
        )


def rename(shelf: Shelf, *, by: AccountId, lora: LoraId, name: str) -> list[LoraEvent]:
    """Give it another name. Runs that wait keep the file they were promised."""
    found, new = owned(shelf, by=by, lora=lora), plain_name(name)
    if found.name == new:
        return []
    other = shelf.named(new)
    if other is not None and other.id != lora:
        raise Conflict("You have a LoRA of this name already.")
    return [LoraRenamed(lora=lora, name=new)]


def describe(shelf: Shelf, *, by: AccountId, lora: LoraId, description: str) -> list[LoraEvent]:
    """Say what it is for."""
    found, new = owned(shelf, by=by, lora=lora), plain_description(description)
    return [] if found.description == new else [LoraDescribed(lora=lora, description=new)]


def share(
    shelf: Shelf,
    *,
    by: AccountId,
    lora: LoraId,
    public: bool | None = None,
    accounts: tuple[AccountId, ...] | None = None,
) -> list[LoraEvent]:
    """Let everybody, or some, use it in their runs. None leaves that half as it is; the file itself stays here."""
    found = owned(shelf, by=by, lora=lora)
    wanted = found.shared_with if accounts is None else tuple(sorted(set(accounts) - {by}))
    if len(wanted) > MAX_SHARED_WITH:
        raise Invalid(
            "The LoRA is shared with too many.",
            FieldError("shared_with", f"At most {MAX_SHARED_WITH} accounts; make it public instead."),
        )
    everybody = found.public if public is None else public
    if (everybody, wanted) == (found.public, found.shared_with):
        return []
    if not everybody and not wanted:
        return [LoraUnshared(lora=lora)]
    return [LoraShared(lora=lora, public=everybody, accounts=wanted)]


def delete(shelf: Shelf, *, by: AccountId, lora: LoraId) -> list[LoraEvent]:
    """Take it off the shelf. Its file stays for as long as a run that was submitted before needs it."""
    if shelf.owner == by and lora in shelf.deleted:
        return []
    owned(shelf, by=by, lora=lora)
    return [LoraDeleted(lora=lora)]


def clear(shelf: Shelf, *, with_published: bool) -> list[LoraEvent]:
    """Its owner is gone: what is private goes; what is public, if that was asked for as well."""
    return [LoraDeleted(lora=lora.id) for lora in shelf.loras if with_published or not lora.public]


def usable(shelf: Shelf, *, by: AccountId, lora: LoraId) -> Lora:
    """Somebody may have it in their runs: its owner, those it is shared with, everybody where it is public."""
    found = shelf.find(lora)
    if found is None or not may_use(shelf, found, by=by):
        raise NotFound(NO_LORA)
    return found


def may_use(shelf: Shelf, lora: Lora, *, by: AccountId) -> bool:
    return shelf.owner == by or lora.public or by in lora.shared_with


def owned(shelf: Shelf, *, by: AccountId, lora: LoraId) -> Lora:
    """Whether it is theirs to change. To a stranger, and after its deletion, it does not exist."""
    found = shelf.find(lora)
    if found is None or shelf.owner != by:
        raise NotFound(NO_LORA)
    return found


def file_name(uploaded: str, digest: Digest) -> str:
    """What the file is called where it is kept: readable, harmless on any disk, another one for other bytes."""
    stem = uploaded.rpartition(".")[0] or uploaded
    safe = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in stem)
    return f"{safe[:MAX_STEM].strip('_') or 'lora'}-{digest}{SUFFIX}"


def stored_path(owner: AccountId, file: str) -> str:
    """Its place in the object store."""
    return f"user-{owner}/loras/{file}"


def graph_path(owner: AccountId, file: str) -> str:
    """Its name in a graph, and its place below a backend's `models/loras`."""
    return f"user-{owner}/{file}"


class LoraPath(Struct, frozen=True):
    owner: AccountId
    file: str
    digest: Digest


def read_path(path: str) -> LoraPath | None:
    """What `graph_path` made; None for anything else."""
    match = PATH.fullmatch(path)
    file = FILE.fullmatch(match["file"]) if match else None
    if match is None or file is None:
        return None
    return LoraPath(AccountId(UUID(match["owner"])), match["file"], Digest(file["digest"]))


def plain_file_name(text: str) -> str:
    """The name that a file was uploaded under: no path, nothing hidden, and of a format without code in it."""
    reason = None
    if not 1 <= len(text) <= 255 or text in (".", "..") or any(letter in text for letter in "/\\"):
        reason = "It must be a file's name of 1 to 255 characters, without any folder."
    elif not text.isprintable():
        reason = "It holds control characters."
    elif not text.lower().endswith(SUFFIXES):
        reason = "Only .safetensors files are taken: other formats may run code where they are loaded."
    if reason is not None:
        raise Invalid("The file's name is not usable.", FieldError("file", reason))
    return text


def plain_name(text: str) -> str:
    """A LoRA's name, as it will stand in graphs."""
    stripped = text.strip()
    reason = None
    if not 1 <= len(stripped) <= MAX_NAME:
        reason = f"It must have 1 to {MAX_NAME} characters."
    elif not stripped.isprintable():
        reason = "It holds control characters."
    elif any(letter in stripped for letter in "/\\") or stripped.startswith("."):
        reason = "It is a name, not a path: no slashes, and no dot in front."
    if reason is not None:
        raise Invalid("The name is not usable.", FieldError("name", reason))
    return stripped


def plain_description(description: str) -> str:
    """What it is for, in words."""
    if len(description) > MAX_DESCRIPTION:
        raise Invalid(
            "The description is too long.",
            FieldError("description", f"It may have {MAX_DESCRIPTION} characters at most."),
        )
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in description):
        raise Invalid(
            "The description holds control characters.", FieldError("description", "Control characters.")
        )
    return description


def _key(name: str) -> str:
    folded = name.strip().casefold()
    return next((folded.removesuffix(end) for end in SUFFIXES if folded.endswith(end)), folded)


def _changed(shelf: Shelf, id: LoraId, **values: object) -> Shelf:
    loras = tuple(replace(lora, **values) if lora.id == id else lora for lora in shelf.loras)
    return replace(shelf, loras=loras)
