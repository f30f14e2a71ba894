"""Files on disk and in S3: looked after, backed up from where they are, brought back to where they belong."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from adapters.storage.s3 import Bucket
from infra.backup.make import make
from infra.backup.restore import bring_back
from infra.objects import at_hand
from infra.objects_care import move, verify
from infra.settings import Settings
from tests.backup.homes import PICTURES, SHARED, digest, fill, migrated, settings_of, stored
from tests.s3 import S3Server

BODIES = {*PICTURES.values(), SHARED}


def in_s3(settings: Settings, bucket: Bucket) -> Settings:
    return replace(
        settings,
        s3_bucket=bucket.name,
        s3_endpoint=bucket.endpoint,
        s3_access_key=bucket.access_key,
        s3_secret_key=bucket.secret_key,
        s3_prefix=bucket.prefix,
        s3_path_style=True,
    )


@pytest.fixture
async def home(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path / "home")
    migrated(settings)
    await fill(settings, runs=4)
    return settings


def test_files_are_moved_verified_backed_up_and_brought_back(
    home: Settings, s3_server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert move(home) == 2  # there is one store only
    moved = in_s3(home, s3_server.bucket())
    assert move(moved) == 0
    assert stored(home.data) == set()
    assert verify(moved, quick=False) == 0
    assert verify(home, quick=True) == 1  # nothing is on disk any more

    made = make(moved, tmp_path / "backup", None, with_objects=True)
    assert made.objects == len(BODIES)
    fresh = in_s3(settings_of(tmp_path / "fresh"), s3_server.bucket())
    assert bring_back(fresh, tmp_path / "backup", None, no_erasures=True).missing == []
    with at_hand(fresh) as store:
        assert {b"".join(store.read(digest(body))) for body in BODIES} == BODIES
    assert stored(fresh.data) == set()

    assert move(replace(moved, objects="disk")) == 0
    assert stored(home.data) == BODIES
    assert verify(home, quick=False) == 0
    assert "3 of 3 files that the log refers to are there and whole." in capsys.readouterr().out


def test_what_is_missing_or_damaged_is_named(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    places = {body: home.data / "objects" / digest(body)[:2] / digest(body) for body in BODIES}
    first, second, _ = places
    places[first].unlink()
    places[second].write_bytes(b"x" + second[1:])
    assert verify(home, quick=False) == 1
    told = capsys.readouterr().err
    assert f"1 are missing:\n  {digest(first)}" in told
    assert f"1 are damaged:\n  {digest(second)}" in told
    assert verify(home, quick=True) == 1
    assert "damaged" not in capsys.readouterr().err
