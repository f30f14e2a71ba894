"""What stands in an export, and in which order. Nothing of it is in memory but a page of rows and a piece of a file."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from commands.access import open_sessions
from commands.desk import kept_body, settings_of
from commands.known_accounts import known
from commands.needs import Needs
from commands.profiles import texts
from domain.catalogue import CATALOGUE
from domain.desk import DESK
from domain.event import STAFF, AnyRecorded, is_staffs, topic
from domain.handling import HANDLING
from domain.ids import AccountId, Digest, Position, desk_id, handling_id, profile_id, shelf_id
from domain.lora import SHELF
from domain.profile import PROFILE
from domain.webhook import WEBHOOK
from services.ports.exporting import Archive, Export, Exports, OwnLog, Row, StoredObjects, Things

PIECE_BYTES = 256 * 1024
WINDOW = 50_000  # positions of the log that are looked through at once
EVENTS = 1_000  # of them in memory
TOLD_EVERY_S = 0.5
README = b"""This is everything that is known here of one account.

account.json    the account: its names and sessions, and how it wants its outputs handled
profile.json    what it shows of itself; avatar.webp: its picture
api_keys.json   its API keys, without their texts
webhooks.json   where it is told of events
workflows.json  its workflows; versions.json: all their versions
workflows/      the documents of each version: <workflow>/<number>.json, and .editor.json as the editor has it;
                the pictures it is shown by: <workflow>/<width>.webp
templates.json  its templates; templates/: the newest form and graph of each
presets.json    its presets; presets/: what each holds
runs.json       its runs with their outputs
outputs/        the files of those outputs
inputs.json     the pictures it has uploaded to make others from
inputs/         their files
loras.json      its LoRAs
loras/          their files
desk.json       what an editor keeps for it: settings and files; desk/: those files
history.json    every event of it and of its things, the oldest first
"""


class Unwanted(Exception):
    """The account is gone, or its export was forgotten."""


class Material(Struct, frozen=True):
    things: Things
    log: OwnLog
    objects: StoredObjects


class Building:
    """One export on its way into an archive."""

    def __init__(self, export: Export, exports: Exports, material: Material, needs: Needs) -> None:
        self._export, self._account = export, export.account
        self._exports = exports
        self._material = material
        self._needs = needs
        self._done = self._total = 0
        self._told_at = 0.0

    async def fill(self, archive: Archive) -> None:
        """Raises Unwanted, OSError, and what the material's sources raise."""
        things, account = self._material.things, self._account
        head = await self._material.log.head()
        self._total = 2 * await things.counted(account) + head // WINDOW + 1
        await self._tell()
        await archive.add("README.txt", _one(README))
        for name, described in (
            ("account", await self._described()),
            ("api_keys", await self._needs.api_keys.of(account)),
            ("webhooks", await self._webhooks()),
        ):
            await archive.add(f"{name}.json", _one(_pretty(described)))
        await self._add_profile(archive)
        await archive.add("workflows.json", _array(things.workflows(account)))
        await archive.add("versions.json", _array(self._counted(self._versions())))
        await self._add_documents(archive)
        await self._add_pictures(archive)
        things = self._material.things
        await self._add_with_documents(archive, "templates", things.templates)
        await self._add_with_documents(archive, "presets", things.presets)
        await archive.add("runs.json", _array(self._counted(self._runs())))
        await self._add_outputs(archive)
        await self._add_inputs(archive)
        await self._add_loras(archive)
        await self._add_desk(archive)
        await archive.add("history.json", _array(self._history(head)))

    async def _described(self) -> dict[str, Any]:
        found = await known(self._account, self._needs)
        if found.credentials is None:
            raise Unwanted
        return {
            "id": self._account,
            "username": found.credentials.username,
            "email": found.email,
            "role": found.state.role,
            "sessions": await open_sessions(self._account, self._needs),
            "handling": (await self._needs.streams.load(HANDLING, handling_id(self._account)))[0],
        }

    async def _add_profile(self, archive: Archive) -> None:
        """With the picture, where there is one."""
        state, _ = await self._needs.streams.load(PROFILE, profile_id(self._account))
        said = await texts(self._account, state, self._needs)
        told = {**said, "links": said["links"].split()}
        await archive.add("profile.json", _one(_pretty(told)))
        shown = None if state.avatar is None else await self._needs.avatars.find(state.avatar)
        if shown is not None:
            await archive.add("avatar.webp", _one(shown.body), packed=True)

    async def _webhooks(self) -> list[dict[str, Any]]:
        kept, found = self._needs.webhooks, []
        for id in await kept.owned(self._account):
            state, _ = await self._needs.streams.load(WEBHOOK, id)
            if state.owner == self._account and not state.deleted and state.address is not None:
                url = (await kept.opened(id, [state.address])).get(state.address)
                found.append({"id": id, "url": url, "types": state.types, "description": state.description})
        return found

    async def _versions(self) -> AsyncIterator[Row]:
        async for workflow in self._material.things.workflows(self._account):
            async for version in self._material.things.versions(self._account, workflow["id"]):
                yield version

    async def _runs(self) -> AsyncIterator[Row]:
        async for run in self._material.things.runs(self._account):
            for output in run["outputs"]:
                there = await self._material.objects.size(Digest(output["digest"])) is not None
                output["file"] = _output_name(run, output) if there else None
            yield run

    async def _add_documents(self, archive: Archive) -> None:
        async for version in self._counted(self._versions()):
            stem = f"workflows/{version['workflow']}/{version['number']}"
            for name, digest in ((stem, version["graph"]), (f"{stem}.editor", version["editor_graph"])):
                body = None if digest is None else await self._needs.contents.get(Digest(digest))
                if body is not None:
                    await archive.add(f"{name}.json", _one(body))

    async def _add_pictures(self, archive: Archive) -> None:
        async for workflow in self._material.things.workflows(self._account):
            for picture in workflow["thumbnails"]:
                digest = Digest(picture["digest"])
                if await self._material.objects.size(digest) is not None:
                    name = f"workflows/{workflow['id']}/{picture['width']}.webp"
                    await archive.add(name, self._material.objects.read(digest), packed=True)

    async def _add_with_documents(
        self, archive: Archive, name: str, rows: Callable[[AccountId], AsyncIterator[Row]]
    ) -> None:
        """The rows, and the document of each."""
        await archive.add(f"{name}.json", _array(rows(self._account)))
        async for each in rows(self._account):
            body = await self._needs.contents.get(Digest(each["document"]))
            if body is not None:
                await archive.add(f"{name}/{each['id']}.json", _one(body))

    async def _add_outputs(self, archive: Archive) -> None:
        async for run in self._counted(self._material.things.runs(self._account)):
            for output in run["outputs"]:
                digest = Digest(output["digest"])
                if await self._material.objects.size(digest) is not None:
                    await archive.add(
                        _output_name(run, output), self._material.objects.read(digest), packed=True
                    )

    async def _add_inputs(self, archive: Archive) -> None:
        things = self._material.things
        await archive.add("inputs.json", _array(things.inputs(self._account)))
        async for each in things.inputs(self._account):
            digest = Digest(each["digest"])
            if await self._material.objects.size(digest) is not None:
                pieces = self._told_of(self._material.objects.read(digest))
                await archive.add(f"inputs/{each['id']}.png", pieces, packed=True)

    async def _add_loras(self, archive: Archive) -> None:
        """From the shelf itself: it is one stream, and small."""
        shelf, _ = await self._needs.streams.load(SHELF, shelf_id(self._account))
        await archive.add("loras.json", _one(_pretty(shelf.loras)))
        for lora in shelf.loras:
            if await self._material.objects.size(lora.content.digest) is not None:
                pieces = self._material.objects.read(lora.content.digest)
                await archive.add(f"loras/{lora.file}", self._told_of(pieces), packed=True)

    async def _add_desk(self, archive: Archive) -> None:
        state, _ = await self._needs.streams.load(DESK, desk_id(self._account))
        settings = await settings_of(self._account, self._needs)
        names = {path: f"desk/{number}_{_safe(path)}" for number, path in enumerate(sorted(state.files), 1)}
        described = {
            "settings": {name: msgspec.Raw(value) for name, value in settings.items()},
            "files": [
                {"path": path, "file": name, "modified_at": state.files[path].modified_at}
                for path, name in names.items()
            ],
        }
        await archive.add("desk.json", _one(_pretty(described)))
        for path, name in names.items():
            await archive.add(name, _one(await kept_body(state.files[path].content, self._needs)))

    async def _told_of(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A file of gigabytes takes long: whoever waits is told that it goes on, and we whether they still wait."""
        async for piece in pieces:
            yield piece
            if time.monotonic() - self._told_at > TOLD_EVERY_S:
                await self._tell()

    async def _history(self, head: Position) -> AsyncIterator[dict[str, Any]]:
        for start in range(0, head + 1, WINDOW):
            after, upto = Position(start), Position(min(start + WINDOW, head))
            while events := await self._material.log.of_owner(self._account, after, upto, EVENTS):
                for recorded in await self._needs.vault.open(events):
                    yield _told(recorded)
                after = events[-1].position
            await self._step()

    async def _counted(self, rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
        async for row in rows:
            yield row
            await self._step()

    async def _step(self) -> None:
        self._done += 1
        if time.monotonic() - self._told_at > TOLD_EVERY_S:
            await self._tell()

    async def _tell(self) -> None:
        self._told_at = time.monotonic()
        self._total = max(self._total, self._done)  # more may come while it is built
        if not await self._exports.progress(self._export.id, self._done, self._total):
            raise Unwanted


def _told(recorded: AnyRecorded) -> dict[str, Any]:
    event = recorded.event
    fields = msgspec.to_builtins(event)
    del fields["topic"]
    for name in CATALOGUE.personal.get(type(event), ()):
        personal = getattr(event, name)
        fields[name] = None if personal is None else personal.text
    if staffs := is_staffs(recorded):
        fields.pop("by", None)
    return {
        "position": recorded.position,
        "at": recorded.at,
        "topic": topic(event),
        "stream": recorded.stream,
        "version": recorded.version,
        "actor": STAFF if staffs else recorded.actor,
        "correlation": recorded.correlation,
        "causation": recorded.causation,
        "data": fields,
    }


def _output_name(run: Row, output: Row) -> str:
    """No part of it is taken as it is: it becomes a path on somebody's disk."""
    name = f"{output['node']}_{output['index']}_{Path(output['name']).name}"
    return f"outputs/{run['id']}/{_safe(name).lstrip('.')}"


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)[-150:]


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _array(rows: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """A JSON array, a row a line."""
    piece, between = bytearray(b"["), b"\n"
    async for row in rows:
        piece += between + msgspec.json.encode(row)
        between = b",\n"
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece) + b"\n]\n"
