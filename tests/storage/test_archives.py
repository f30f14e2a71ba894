"""Exports of any size, in a folder that outlives whoever builds them."""

import io
import os
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4
from zipfile import ZipFile

import httpx
import msgspec
import pytest

from adapters.storage.archive_places import ArchivePlaces
from adapters.storage.archives import DiskArchives
from adapters.storage.disk import DiskObjects
from adapters.storage.s3 import opened
from adapters.storage.s3_archives import PART_BYTES
from commands.accounts import Registered
from commands.ports import Download, ObjectMissingError
from domain.event import AnyRecorded
from domain.ids import AccountId, Position
from infra.wiring import now
from services.export_archive import Building, Material, Unwanted
from services.ports.exporting import Archives, Export, ExportState, Row
from tests.commands.ground import Ground, make_ground
from tests.commands.test_accounts import joining
from tests.s3 import S3Server

ID = UUID(int=0xE)
MANY = 30_000


class ManyRuns:
    """An account with many runs."""

    def __init__(self, count: int, *, with_outputs: bool) -> None:
        self._count = count
        self._with_outputs = with_outputs

    async def counted(self, account: AccountId) -> int:
        return self._count

    async def workflows(self, account: AccountId) -> AsyncIterator[Row]:
        for _ in ():
            yield {}

    async def versions(self, account: AccountId, workflow: UUID) -> AsyncIterator[Row]:
        for _ in ():
            yield {}

    async def runs(self, account: AccountId) -> AsyncIterator[Row]:
        for number in range(self._count):
            output = {"node": "9", "index": 0, "name": "../../etc/passwd", "digest": "ab" * 32}
            yield {"id": str(UUID(int=number)), "note": "x" * 500, "outputs": [output] * self._with_outputs}

    async def templates(self, account: AccountId) -> AsyncIterator[Row]:
        for _ in ():
            yield {}

    async def presets(self, account: AccountId) -> AsyncIterator[Row]:
        for _ in ():
            yield {}

    async def inputs(self, account: AccountId) -> AsyncIterator[Row]:
        for _ in ():
            yield {}


class Told:
    """Hears how far it is; after `patience` steps nobody wants it any more."""

    def __init__(self, patience: int = 10**9) -> None:
        self.heard: list[tuple[int, int]] = []
        self._patience = patience

    async def progress(self, id: UUID, done: int, total: int) -> bool:
        self.heard.append((done, total))
        return len(self.heard) <= self._patience


class NoLog:
    async def head(self) -> Position:
        return Position(0)

    async def of_owner(
        self, owner: AccountId, after: Position, upto: Position, limit: int
    ) -> Sequence[AnyRecorded]:
        return ()


async def whole(archives: Archives, id: UUID) -> bytes:
    size = await archives.size(id)
    assert size is not None
    body = b"".join([piece async for piece in archives.read(id, 0, size)])
    assert len(body) == size
    return body


async def building(
    ground: Ground, folder: Path, count: int, told: Told, *, with_outputs: bool = True
) -> Building:
    ann: Registered = await ground.wish(joining())
    export = Export(
        id=ID,
        account=ann.id,
        state=ExportState.BUILDING,
        done=0,
        total=0,
        size_bytes=None,
        reason=None,
        asked_at=datetime.now(UTC),
        ended_at=None,
    )
    objects = DiskObjects(folder)
    path = folder / "ab" / ("ab" * 32)
    path.write_bytes(b"picture")
    material = Material(ManyRuns(count, with_outputs=with_outputs), NoLog(), objects)
    return Building(export, told, material, ground.dispatcher.needs)  # type: ignore[arg-type]  # the one it asks


async def test_a_big_account_fits_into_little_memory(tmp_path: Path) -> None:
    archives, ground = DiskArchives(tmp_path / "exports"), make_ground()
    one = await building(ground, tmp_path / "objects", MANY, Told(), with_outputs=False)
    tracemalloc.start()
    try:
        async with archives.begin(ID) as archive:
            await one.fill(archive)
            _, peak_bytes = tracemalloc.get_traced_memory()
            await archive.finish()
    finally:
        tracemalloc.stop()
    with ZipFile(io.BytesIO(await whole(archives, ID))) as opened:
        assert len(msgspec.json.decode(opened.read("runs.json"))) == MANY
        assert opened.getinfo("runs.json").file_size > 500 * MANY
    assert peak_bytes < 6 * 2**20


async def test_no_name_leads_out_of_the_archive(tmp_path: Path) -> None:
    archives, told = DiskArchives(tmp_path / "exports"), Told()
    one = await building(make_ground(), tmp_path / "objects", 3, told)
    async with archives.begin(ID) as archive:
        await one.fill(archive)
        await archive.finish()
    with ZipFile(io.BytesIO(await whole(archives, ID))) as opened:
        files = [name for name in opened.namelist() if name.startswith("outputs/")]
        assert files == [f"outputs/{UUID(int=number)}/9_0_passwd" for number in range(3)]
        assert opened.read(files[0]) == b"picture"
    assert told.heard[0][0] == 0
    assert all(done <= total for done, total in told.heard)


async def test_what_nobody_wants_is_not_kept(tmp_path: Path) -> None:
    archives = DiskArchives(tmp_path / "exports")
    one = await building(make_ground(), tmp_path / "objects", 3, Told(patience=0))
    with pytest.raises(Unwanted):
        async with archives.begin(ID) as archive:
            await one.fill(archive)
    assert await archives.ids() == set()


async def test_the_export_of_a_deleted_account_is_not_built(tmp_path: Path) -> None:
    ground = make_ground()
    one = await building(ground, tmp_path / "objects", 3, Told())
    await ground.accounts.erase(next(iter(ground.accounts.credentials)))
    with pytest.raises(Unwanted):
        async with DiskArchives(tmp_path / "exports").begin(ID) as archive:
            await one.fill(archive)


async def test_in_s3_an_archive_is_sent_while_it_is_written(s3_server: S3Server) -> None:
    async with opened(s3_server.bucket(), now) as objects:
        archives = objects.archives
        picture = os.urandom(1 << 20)  # of which nothing can be pressed out

        async def film() -> AsyncIterator[bytes]:
            for _ in range(PART_BYTES // len(picture) + 3):
                yield picture

        async with archives.begin(ID) as archive:
            await archive.add("film.bin", film(), packed=True)
            await archive.add("note.txt", one_piece(b"small" * 100))
            assert await archives.size(ID) is None
            written = await archive.finish()
        assert await archives.size(ID) == written
        link = await archives.link(ID, Download("application/zip", "attachment"))
        assert link is not None
        async with httpx.AsyncClient(verify=False, trust_env=False) as http:
            assert (await http.get(link)).headers["content-length"] == str(written)
        with ZipFile(io.BytesIO(await whole(archives, ID))) as found:
            assert found.testzip() is None
            assert found.read("note.txt") == b"small" * 100
            assert found.getinfo("film.bin").file_size > PART_BYTES
        assert await archives.ids() == {ID}
        await archives.remove(ID)
        assert await archives.ids() == set()


async def test_in_s3_what_is_not_finished_is_nothing(s3_server: S3Server) -> None:
    async with opened(s3_server.bucket(), now) as objects:
        async with objects.archives.begin(ID) as archive:
            await archive.add("note.txt", one_piece(os.urandom(PART_BYTES + 9)), packed=True)
        assert await objects.archives.ids() == set()
        with pytest.raises(ObjectMissingError):
            await anext(objects.archives.read(ID, 0, 9))


async def test_archives_of_before_are_found_beside_new_ones(s3_server: S3Server, tmp_path: Path) -> None:
    disk, old, new = DiskArchives(tmp_path / "exports"), uuid4(), uuid4()
    async with opened(s3_server.bucket(), now) as objects:
        both = ArchivePlaces(objects.archives, disk)
        for archives, id in ((disk, old), (both, new)):
            async with archives.begin(id) as archive:
                await archive.add("note.txt", one_piece(id.bytes))
                await archive.finish()
        assert await disk.ids() == {old}
        assert await both.ids() == {old, new}
        assert await both.link(old, Download("application/zip", "attachment")) is None
        for id in (old, new):
            with ZipFile(io.BytesIO(await whole(both, id))) as found:
                assert found.read("note.txt") == id.bytes
            await both.remove(id)
        assert await both.ids() == set()


async def one_piece(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def test_half_an_archive_is_none(tmp_path: Path) -> None:
    archives, other = DiskArchives(tmp_path / "exports"), uuid4()
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / f"{other}.partial").write_bytes(b"half")
    assert await archives.size(other) is None
    assert await archives.ids() == {other}
    await archives.remove(other)
    assert await archives.ids() == set()
