"""The list of erased accounts survives whatever befalls its writers."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from adapters.storage.erasures import ErasureFile
from domain.ids import AccountId

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANN, BOB = AccountId(UUID(int=0xA)), AccountId(UUID(int=0xB))


async def test_what_is_noted_is_there(tmp_path: Path) -> None:
    path = tmp_path / "kept elsewhere" / "erasures.jsonl"
    assert await ErasureFile(path).noted() == {}
    await ErasureFile(path).note(ANN, NOON)
    assert await ErasureFile(path).noted() == {ANN: NOON}
    assert (
        path.read_bytes()
        == b'{"account":"00000000-0000-0000-0000-00000000000a","at":"2026-11-21T12:00:00Z"}\n'
    )
    assert path.stat().st_mode & 0o077 == 0


async def test_noted_twice_it_stands_there_once(tmp_path: Path) -> None:
    one, other = ErasureFile(tmp_path / "list"), ErasureFile(tmp_path / "list")
    for file in (one, other, one):
        await file.note(ANN, NOON)
    assert (tmp_path / "list").read_bytes().count(b"\n") == 1


async def test_two_writers_see_each_other(tmp_path: Path) -> None:
    one, other = ErasureFile(tmp_path / "list"), ErasureFile(tmp_path / "list")
    await asyncio.gather(one.note(ANN, NOON), other.note(BOB, NOON))
    assert await one.noted() == await other.noted() == {ANN: NOON, BOB: NOON}


async def test_a_torn_line_harms_no_other(tmp_path: Path) -> None:
    """A power cut: the end of the line was never written, and nobody was told that it was."""
    file = ErasureFile(tmp_path / "list")
    await file.note(ANN, NOON)
    with (tmp_path / "list").open("ab") as torn:
        torn.write(b'{"account":"0000')
    await file.note(BOB, NOON)
    assert await ErasureFile(tmp_path / "list").noted() == {ANN: NOON, BOB: NOON}
