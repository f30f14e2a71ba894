"""Where files are kept, and the same for those who do one thing after the other."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from msgspec import Struct

from adapters.storage.archive_places import ArchivePlaces
from adapters.storage.archives import DiskArchives
from adapters.storage.disk import DiskObjects
from adapters.storage.lora_files import DiskLoraFiles
from adapters.storage.lora_places import LoraPlaces
from adapters.storage.places import Places
from commands.ports import Objects
from domain.ids import Digest
from infra.settings import Settings
from infra.wiring import now
from services.ports.exporting import Archives
from services.ports.uploading import LoraFiles


class Kept(Struct, frozen=True):
    """One store, with the LoRAs and the exports that are in it."""

    objects: Objects
    loras: LoraFiles
    archives: Archives


class Stores(Struct, frozen=True):
    """`new` takes what is new. `old`: another one that may still have some; None: there is none."""

    new: Kept
    old: Kept | None = None

    @property
    def objects(self) -> Objects:
        return self.new.objects if self.old is None else Places(self.new.objects, self.old.objects)

    @property
    def loras(self) -> LoraFiles:
        return self.new.loras if self.old is None else LoraPlaces(self.new.loras, self.old.loras)

    @property
    def archives(self) -> Archives:
        return self.new.archives if self.old is None else ArchivePlaces(self.new.archives, self.old.archives)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Objects]:
    async with stores(settings) as found:
        yield found.objects


@asynccontextmanager
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    """The folder is looked into also where there is a bucket: what came before is there."""
    async with AsyncExitStack() as stack:
        if settings.s3_bucket is None:
            yield Stores(_on_disk(settings))
            return
        bucket = await stack.enter_async_context(_bucket(settings, settings.s3_bucket))
        if settings.objects == "disk":
            yield Stores(_on_disk(settings), bucket)
        else:
            yield Stores(bucket, _on_disk(settings))


def disk_folder(settings: Settings) -> Path:
    return settings.data / "objects"


def _on_disk(settings: Settings) -> Kept:
    folder = disk_folder(settings)
    return Kept(DiskObjects(folder), DiskLoraFiles(folder), DiskArchives(settings.data / "exports"))


@asynccontextmanager
async def _bucket(settings: Settings, name: str) -> AsyncIterator[Kept]:
    from adapters.storage import s3, s3_lora_files  # their client takes longer to import than all the rest

    bucket = s3.Bucket(
        name=name,
        endpoint=settings.s3_endpoint,
        public_endpoint=settings.s3_public_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        prefix=settings.s3_prefix,
        path_style=settings.s3_path_style,
        link_s=settings.s3_link_s if settings.s3_downloads == "redirect" else None,
    )
    async with s3.opened(bucket, now) as objects:
        yield Kept(objects, s3_lora_files.S3LoraFiles(objects, now), objects.archives)


class Store:
    """Raises what the store raises."""

    def __init__(self, runner: asyncio.Runner, objects: Objects) -> None:
        self._runner = runner
        self._objects = objects

    def size(self, digest: str) -> int | None:
        return self._runner.run(self._objects.size(Digest(digest)))

    def read(self, digest: str) -> Iterator[bytes]:
        pieces = self._objects.read(Digest(digest))
        while piece := self._runner.run(_next(pieces)):
            yield piece

    def put(self, digest: str, size_bytes: int, blocks: Iterable[bytes]) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for block in blocks:
                yield block

        self._runner.run(self._objects.put(Digest(digest), chunks(), size_bytes))


@contextmanager
def at_hand(settings: Settings) -> Iterator[Store]:
    with asyncio.Runner() as runner:
        opening = opened(settings)
        objects = runner.run(opening.__aenter__())
        try:
            yield Store(runner, objects)
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    """b"" at the end: no store gives an empty piece."""
    return await anext(pieces, b"")
