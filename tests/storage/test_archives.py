"""Exports of any size, in a folder that outlives whoever builds them."""

import tracemalloc
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4
from zipfile import ZipFile

import msgspec
import pytest

from adapters.storage.archives import DiskArchives
from adapters.storage.disk import DiskObjects
from commands.accounts import Registered
from domain.event import AnyRecorded
from domain.ids import AccountId, Position
from services.export_archive import Building, Material, Unwanted
from services.ports.exporting import Export, ExportState, Row
from tests.commands.ground import Ground, make_ground
from tests.commands.test_accounts import joining

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
    path = archives.path(ID)
    assert path is not None
    with ZipFile(path) as opened:
        assert len(msgspec.json.decode(opened.read("runs.json"))) == MANY
        assert opened.getinfo("runs.json").file_size > 500 * MANY
    assert peak_bytes < 6 * 2**20


async def test_no_name_leads_out_of_the_archive(tmp_path: Path) -> None:
    archives, told = DiskArchives(tmp_path / "exports"), Told()
    one = await building(make_ground(), tmp_path / "objects", 3, told)
    async with archives.begin(ID) as archive:
        await one.fill(archive)
        await archive.finish()
    path = archives.path(ID)
    assert path is not None
    with ZipFile(path) as opened:
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
    assert archives.ids() == set()


async def test_the_export_of_a_deleted_account_is_not_built(tmp_path: Path) -> None:
    ground = make_ground()
    one = await building(ground, tmp_path / "objects", 3, Told())
    await ground.accounts.erase(next(iter(ground.accounts.credentials)))
    with pytest.raises(Unwanted):
        async with DiskArchives(tmp_path / "exports").begin(ID) as archive:
            await one.fill(archive)


async def test_half_an_archive_is_none(tmp_path: Path) -> None:
    archives, other = DiskArchives(tmp_path / "exports"), uuid4()
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / f"{other}.partial").write_bytes(b"half")
    assert archives.path(other) is None
    assert archives.ids() == {other}
    archives.remove(other)
    assert archives.ids() == set()
