"""`comfyplus audit ...` on a data folder, as an operator calls it."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from infra import audit
from infra.backup.make import make
from infra.backup.restore import bring_back
from infra.offline import check_seals
from infra.settings import Settings
from tests.backup.homes import append, fill, migrated, owner, settings_of

EVENTS = 40


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A system nobody has touched."""
    settings = settings_of(tmp_path_factory.mktemp("audit") / "data")
    migrated(settings)
    asyncio.run(fill(settings, EVENTS // 4))
    return settings


@pytest.fixture
def touched(kept: Settings, tmp_path: Path) -> Settings:
    """Another in the same state: its folder is copied while nobody works there."""
    return settings_of(Path(shutil.copytree(kept.data, tmp_path / "data")))


def rewrite_end(settings: Settings) -> None:
    """Cut off the last run with its seal: nothing in the log tells of it."""
    with owner(settings) as connection:
        connection.execute("ALTER TABLE log.events DISABLE TRIGGER ALL")
        connection.execute("ALTER TABLE log.seals DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM log.events WHERE notification_id > 36")
        connection.execute("DELETE FROM log.seals WHERE last_position > 36")


def test_a_sound_log_gives_exit_code_0_and_its_seal(
    kept: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.verify_log(kept) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Sound: {EVENTS} events up to position {EVENTS}")
    with owner(kept) as connection:
        ((seal,),) = connection.execute(
            "SELECT encode(seal, 'hex') FROM log.seals ORDER BY last_position DESC LIMIT 1"
        ).fetchall()
    assert seal in said


def test_a_broken_log_gives_exit_code_1_and_the_position(
    touched: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with owner(touched) as connection:
        connection.execute("ALTER TABLE log.events DISABLE TRIGGER ALL")
        connection.execute("UPDATE log.events SET actor = 'nobody' WHERE notification_id = 11")
    assert audit.verify_log(touched) == 1
    assert "position 11: changed" in capsys.readouterr().err
    assert audit.verify_log(touched, first=1, last=8) == 0
    assert audit.verify_log(touched, first=9, last=12) == 1
    assert audit.verify_log(touched, first=13) == 0
    assert "taken for sound" in capsys.readouterr().out
    assert audit.verify_log(touched, first=1000) == 2


def test_what_was_exported_convinces_others_and_finds_what_was_rewritten(
    touched: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain, checkpoint = tmp_path / "chain", tmp_path / "checkpoint"
    assert audit.export(touched, chain) == 0
    capsys.readouterr()
    assert audit.print_checkpoint(touched) == 0
    checkpoint.write_text(capsys.readouterr().out)
    key = json.loads(checkpoint.read_text())["public_key"]
    for path in (chain, checkpoint):
        assert audit.check(path, key) == 0
        assert f"position {EVENTS}" in check_seals.check(path, key)
        assert audit.verify_log(touched, checkpoint=path) == 0
    rewrite_end(touched)
    assert audit.verify_log(touched) == 0
    for path in (chain, checkpoint):
        assert audit.verify_log(touched, checkpoint=path) == 1
        assert "position 37: missing" in capsys.readouterr().err


def test_a_checkpoint_that_somebody_else_signed_is_not_believed(
    kept: Settings, touched: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "checkpoint"
    (touched.data / "keys" / "audit.key").unlink()  # another one is made
    with owner(touched) as connection:
        connection.execute("UPDATE log.identity SET id = gen_random_uuid()")
    assert audit.print_checkpoint(touched) == 0
    path.write_text(capsys.readouterr().out)
    assert audit.verify_log(kept, checkpoint=path) == 2
    assert "another key" in capsys.readouterr().err
    other = json.loads(path.read_text())["public_key"]
    assert audit.verify_log(kept, checkpoint=path, key=other) == 2
    assert "another one" in capsys.readouterr().err


def test_a_checkpoint_of_before_a_restore_still_tells_what_was_lost(
    touched: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early, late, fresh = tmp_path / "early", tmp_path / "late", settings_of(tmp_path / "fresh")
    assert audit.print_checkpoint(touched) == 0
    early.write_text(capsys.readouterr().out)
    make(touched, tmp_path / "backup", None)
    asyncio.run(append(touched))
    assert audit.print_checkpoint(touched) == 0
    late.write_text(capsys.readouterr().out)
    bring_back(fresh, tmp_path / "backup", None, no_erasures=True)
    assert audit.verify_log(fresh, checkpoint=early) == 0
    assert audit.verify_log(fresh, checkpoint=late) == 1
    assert f"position {EVENTS + 1}: missing. The log was restored" in capsys.readouterr().err


def test_a_folder_without_a_log_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.verify_log(settings_of(tmp_path / "nothing")) == 2
    assert audit.export(settings_of(tmp_path / "nothing"), tmp_path / "chain") == 1
    assert "no database" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
