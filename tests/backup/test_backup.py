"""A backup holds all that cannot be made again, and a restore brings all of it back, or nothing."""

import asyncio
import hashlib
import json
import os
import random
import shutil
import tarfile
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
import pytest

from infra import migrate
from infra.backup import tables
from infra.backup.make import make
from infra.backup.manifest import BackupError, Manifest
from infra.backup.restore import bring_back
from infra.embedded.child import ChildFailedError
from infra.embedded.lock import FolderTakenError, folder_lock
from infra.operating import stopped_database
from infra.settings import Settings
from tests.backup.homes import (
    ANN,
    BOB,
    OWN_IDENTITY,
    PICTURES,
    SHARED,
    accounts_in,
    digest,
    fill,
    is_empty,
    migrated,
    owner,
    rows,
    settings_of,
    store,
    stored,
)
from tests.log.test_migrations import some
from tests.terminal import begun

PASSPHRASE = b"a good long passphrase"
KILLS = 6


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A system that has seen something."""
    settings = settings_of(tmp_path_factory.mktemp("home") / "data with a space")
    migrated(settings)
    asyncio.run(fill(settings))
    return settings


@pytest.fixture(scope="module")
def taken(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it."""
    target = tmp_path_factory.mktemp("backups") / "backup"
    make(home, target, None, with_objects=True)
    return target


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a database was made, and nothing else has happened."""
    settings = settings_of(tmp_path_factory.mktemp("cluster") / "data")
    with stopped_database(settings):
        pass
    return settings.data


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    return settings_of(tmp_path / "fresh")


@pytest.fixture
def fresh(bare: Settings, cluster: Path) -> Settings:
    """With an empty database, copied: to make it would take longer than most of these tests."""
    bare.data.mkdir(mode=0o700)
    shutil.copytree(cluster / "postgres", bare.data / "postgres")
    shutil.copy(cluster / "postgres.password", bare.data)
    return bare


@pytest.fixture
def copy(taken: Path, tmp_path: Path) -> Path:
    """One that may be damaged."""
    return Path(shutil.copytree(taken, tmp_path / "copy"))


def same_but_identity(one: dict[str, list[str]], other: dict[str, list[str]]) -> None:
    """Only dispatch folds its queue anew."""
    assert one.keys() == other.keys()
    for name in one.keys() - OWN_IDENTITY - {"work.checkpoints"}:
        assert one[name] == other[name], name


@pytest.mark.parametrize(
    ("name", "passphrase"), [("folder", None), ("one.tar", None), ("secret.tar", PASSPHRASE)]
)
def test_what_was_backed_up_comes_back_to_the_row(
    home: Settings, fresh: Settings, tmp_path: Path, name: str, passphrase: bytes | None
) -> None:
    made = make(home, tmp_path / name, passphrase, with_objects=True)
    done = bring_back(fresh, tmp_path / name, passphrase, no_erasures=True)
    assert (done.erased, done.missing) == (0, [])
    before, after = rows(home), rows(fresh)
    same_but_identity(before, after)
    assert len(after["log.events"]) == made.position == 80
    assert stored(fresh.data) == stored(home.data) == {SHARED, *PICTURES.values()}
    for key in ("secret", "keys/audit.key"):
        assert (fresh.data / key).read_text() == (home.data / key).read_text()
        assert (fresh.data / key).stat().st_mode & 0o777 == 0o600


def test_a_restored_log_goes_on_under_a_new_identity_and_knows_its_old_one(
    home: Settings, fresh: Settings, taken: Path
) -> None:
    made = bring_back(fresh, taken, None, no_erasures=True).manifest
    assert rows(home)["log.identity"] != rows(fresh)["log.identity"]
    with owner(fresh) as connection:
        found = connection.execute("SELECT id, position, encode(seal, 'hex') FROM log.ancestry").fetchall()
        assert found == [(made.log, made.position, made.seal)]
        queue = connection.execute("SELECT count(*) FROM work.queue").fetchone()
        folded = connection.execute(
            "SELECT position FROM work.checkpoints WHERE name = 'dispatch'"
        ).fetchone()
        assert (queue, folded) == ((0,), (0,))


def test_a_backup_is_only_for_its_owner_and_tells_nothing_without_its_passphrase(
    home: Settings, tmp_path: Path
) -> None:
    target = tmp_path / "backup"
    make(home, target, PASSPHRASE, with_objects=True)
    written = b"".join(path.read_bytes() for path in target.rglob("*") if path.is_file())
    secret = (home.data / "secret").read_bytes()
    for known in (secret, b"$argon2id$", b"run.submitted", SHARED, str(ANN).encode(), ANN.bytes):
        assert known not in written
    assert all(path.stat().st_mode & 0o077 == 0 for path in (target, *target.rglob("*")))


def test_where_something_is_nothing_is_written(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "taken.tar").write_text("mine")
    with pytest.raises(BackupError, match="there already"):
        make(home, tmp_path / "taken.tar", None)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.tar"]


def test_a_system_in_which_something_is_stays_as_it_is(home: Settings, taken: Path) -> None:
    before = rows(home)
    with pytest.raises(BackupError, match=r"not empty: .*log.events"):
        bring_back(home, taken, None, no_erasures=True)
    assert rows(home) == before


def test_a_system_that_was_only_started_counts_as_empty(fresh: Settings, home: Settings, taken: Path) -> None:
    migrated(fresh)
    own = (fresh.data / "secret").read_text()
    bring_back(fresh, taken, None, no_erasures=True)
    same_but_identity(rows(home), rows(fresh))
    assert (fresh.data / "secret.before-restore").read_text() == own


def test_a_system_that_runs_is_left_alone(bare: Settings, taken: Path) -> None:
    with folder_lock(bare.data), pytest.raises(FolderTakenError):
        bring_back(bare, taken, None, no_erasures=True)


# --- erased accounts


def erasures(folder: Path) -> Path:
    path = folder / "the list"
    path.write_text(json.dumps({"account": str(BOB), "at": "2026-11-21T00:00:00Z"}) + "\n")
    return path


def test_without_the_list_of_erased_accounts_nothing_is_restored(fresh: Settings, taken: Path) -> None:
    with pytest.raises(BackupError, match="--no-erasures"):
        bring_back(fresh, taken, None)
    assert is_empty(fresh)


@pytest.mark.parametrize("how", ["option", "setting", "data folder"])
def test_who_was_erased_since_does_not_come_back(
    fresh: Settings, taken: Path, tmp_path: Path, how: str
) -> None:
    path, named = erasures(tmp_path), None
    if how == "option":
        named = path
    elif how == "setting":
        fresh = settings_of(fresh.data, erasures=path)
    else:
        path.rename(fresh.data / "erasures.jsonl")
    done = bring_back(fresh, taken, None, erasures=named)
    assert (done.erased, done.missing) == (1, [])
    for table in ("credentials", "refresh_tokens", "account_keys"):
        assert accounts_in(fresh, table) == {ANN}, table
    assert stored(fresh.data) == {SHARED, PICTURES[ANN]}
    listed = fresh.erasures or fresh.data / "erasures.jsonl"
    assert str(BOB) in listed.read_text()


# --- backups that are not whole


@pytest.mark.parametrize("place", ["begin", "middle", "end", "cut off", "gone"])
@pytest.mark.parametrize(
    "name", ["tables/log.events", "tables/work.credentials", "keys.json", "objects.ndjson"]
)
def test_a_damaged_part_is_found_before_anything_is_touched(
    bare: Settings, copy: Path, name: str, place: str
) -> None:
    path = copy / name
    body = bytearray(path.read_bytes())
    if place == "gone":
        path.unlink()
    elif place == "cut off":
        path.write_bytes(body[:-1])
    else:
        body[{"begin": 0, "middle": len(body) // 2, "end": -1}[place]] ^= 1
        path.write_bytes(body)
    with pytest.raises(BackupError, match=name):
        bring_back(bare, copy, None, no_erasures=True)
    assert not (bare.data / "postgres").exists()


def test_an_object_that_is_another_one_is_found(bare: Settings, copy: Path) -> None:
    (copy / "objects" / digest(SHARED)).write_bytes(b"somebody else's")
    with pytest.raises(BackupError, match="damaged"):
        bring_back(bare, copy, None, no_erasures=True)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[" * 10_000, b'{"format": "comfyplus backup 2"}', b"\xff\xfe"], ids=range(5)
)
def test_what_is_no_manifest_is_told_so(bare: Settings, copy: Path, text: bytes) -> None:
    (copy / "manifest.json").write_bytes(text)
    with pytest.raises(BackupError):
        bring_back(bare, copy, None, no_erasures=True)


def test_a_tar_that_is_cut_off_is_no_backup(bare: Settings, home: Settings, tmp_path: Path) -> None:
    target = tmp_path / "one.tar"
    make(home, target, None)
    body = target.read_bytes()
    for size in (0, 100, 1024, len(body) // 2):
        target.write_bytes(body[:size])
        with pytest.raises(BackupError):
            bring_back(bare, target, None, no_erasures=True)


def test_a_tar_leads_nowhere_else(bare: Settings, copy: Path, tmp_path: Path) -> None:
    """A manifest that names a link, or a way out, gets nothing."""
    secret, path = tmp_path / "secret", tmp_path / "forged.tar"
    secret.write_text("{}")
    (copy / "keys.json").unlink()
    (copy / "keys.json").symlink_to(secret)
    with tarfile.open(path, "w") as tar:
        tar.add(copy, "")
    with pytest.raises(BackupError):
        bring_back(bare, path, None, no_erasures=True)
    made = manifest_of(copy)
    part = msgspec.structs.replace(made.parts[0], name="tables/../../secret")
    rewrite(copy, msgspec.structs.replace(made, parts=(part,)))
    with pytest.raises(BackupError, match="leads out"):
        bring_back(bare, copy, None, no_erasures=True)


def manifest_of(backup: Path) -> Manifest:
    return msgspec.json.decode((backup / "manifest.json").read_bytes(), type=Manifest)


def rewrite(backup: Path, made: Manifest) -> None:
    (backup / "manifest.json").write_bytes(msgspec.json.encode(made))


def test_a_log_that_was_changed_inside_a_backup_is_not_restored(fresh: Settings, copy: Path) -> None:
    """Also when whoever did it has put the manifest right."""
    path = copy / "tables/log.events"
    body = path.read_bytes().replace(b'"gpu-1"', b'"gpu-2"', 2)
    path.write_bytes(body)
    made, name = manifest_of(copy), "tables/log.events"
    parts = tuple(
        msgspec.structs.replace(part, sha256=hashlib.sha256(body).hexdigest()) if part.name == name else part
        for part in made.parts
    )
    rewrite(copy, msgspec.structs.replace(made, parts=parts))
    with pytest.raises(BackupError, match="position 2: changed"):
        bring_back(fresh, copy, None, no_erasures=True)
    assert is_empty(fresh)


@pytest.mark.parametrize(
    ("given", "said"), [(None, "--passphrase-file"), (b"another", "passphrase is wrong")]
)
def test_without_the_passphrase_nothing_opens(
    home: Settings, bare: Settings, tmp_path: Path, given: bytes | None, said: str
) -> None:
    make(home, tmp_path / "backup.tar", PASSPHRASE)
    with pytest.raises(BackupError, match=said):
        bring_back(bare, tmp_path / "backup.tar", given, no_erasures=True)


def test_parts_of_an_encrypted_backup_cannot_change_places(
    home: Settings, bare: Settings, tmp_path: Path
) -> None:
    copy = tmp_path / "backup"
    make(home, copy, PASSPHRASE)
    one, other = copy / "tables/work.credentials", copy / "tables/work.refresh_tokens"
    for old, new in ((one, copy / "aside"), (other, one), (copy / "aside", other)):
        old.rename(new)
    made = manifest_of(copy)
    names = {"tables/work.credentials": other.name, "tables/work.refresh_tokens": one.name}
    found = {part.name: part for part in made.parts}
    parts = tuple(
        msgspec.structs.replace(
            part,
            sha256=found[f"tables/{names[part.name]}"].sha256,
            size_bytes=found[f"tables/{names[part.name]}"].size_bytes,
        )
        if part.name in names
        else part
        for part in made.parts
    )
    rewrite(copy, msgspec.structs.replace(made, parts=parts))
    with pytest.raises(BackupError, match="cannot be opened"):
        bring_back(bare, copy, PASSPHRASE, no_erasures=True)


# --- other versions, other secrets


async def test_a_backup_of_an_older_version_is_brought_to_this_one(
    fresh: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = settings_of(tmp_path / "older")
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "MIGRATIONS", some(tmp_path / "migrations", "0003_pre_grants.sql"))
        migrated(older)
        with owner(older) as connection:
            connection.execute(
                """INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id,
                recorded_at, actor, correlation)
                SELECT gen_random_uuid(), 1, 'name.reserved.v1', '{}', n, now(), 'somebody', gen_random_uuid()
                FROM generate_series(1, 3) AS n"""
            )
            connection.execute(
                "INSERT INTO log.idempotency (actor, key, request_hash, position) VALUES ('a', 'b', 'c', 1)"
            )
            connection.execute("CREATE TABLE log.seals (last_position bigint, seal bytea)")
        make(older, tmp_path / "backup", None)
    made = manifest_of(tmp_path / "backup")
    parts = tuple(part for part in made.parts if part.table != "log.seals")  # there were none then
    rewrite(tmp_path / "backup", msgspec.structs.replace(made, parts=parts))
    await asyncio.to_thread(bring_back, fresh, tmp_path / "backup", None, no_erasures=True)
    there = rows(fresh)
    assert (len(there["log.events"]), len(there["log.idempotency"])) == (3, 1)
    assert len(there["log.seals"]) == 1


def test_a_backup_of_a_newer_version_is_refused(bare: Settings, copy: Path) -> None:
    made = manifest_of(copy)
    rewrite(
        copy, msgspec.structs.replace(made, migrations=made.migrations | {"9999_pre_later.sql": "0" * 64})
    )
    with pytest.raises(BackupError, match="newer version"):
        bring_back(bare, copy, None, no_erasures=True)


@pytest.mark.parametrize("table", ["work.credentials", "public.migrations"])
def test_a_manifest_that_leaves_out_a_table_or_names_another_is_refused(
    fresh: Settings, copy: Path, table: str
) -> None:
    made = manifest_of(copy)
    parts = tuple(
        msgspec.structs.replace(part, table=table) if part.table == "log.contents" else part
        for part in made.parts
        if part.table != "work.credentials"
    )
    rewrite(copy, msgspec.structs.replace(made, parts=parts))
    with pytest.raises(BackupError, match="not whole"):
        bring_back(fresh, copy, None, no_erasures=True)
    assert is_empty(fresh)


def test_a_list_that_is_there_counts_whatever_is_said(fresh: Settings, taken: Path, tmp_path: Path) -> None:
    erasures(tmp_path).rename(fresh.data / "erasures.jsonl")
    assert bring_back(fresh, taken, None, no_erasures=True).erased == 1


def test_a_folder_without_a_system_is_not_backed_up(bare: Settings, tmp_path: Path) -> None:
    with pytest.raises(ChildFailedError, match="no database"):
        make(bare, tmp_path / "backup", None)
    assert not bare.data.exists()


def test_another_servers_secret_is_refused(taken: Path, tmp_path: Path) -> None:
    bare = settings_of(tmp_path / "fresh", secret="another secret that is long enough")
    with pytest.raises(BackupError, match="COMFYPLUS_SECRET"):
        bring_back(bare, taken, None, no_erasures=True)


def test_every_table_that_is_left_out_is_one_that_there_is(home: Settings) -> None:
    with owner(home) as connection:
        there = {
            row[0]
            for row in connection.execute(
                "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('log', 'work')"
            )
        }
        assert there == {table.name for table in tables.kept(connection)} | tables.NOT_KEPT


# --- files


def test_files_that_nobody_has_are_named(home: Settings, fresh: Settings, tmp_path: Path) -> None:
    made = make(home, tmp_path / "backup", None)
    assert (made.objects, made.with_objects) == (3, False)
    store(fresh.data, SHARED)
    done = bring_back(fresh, tmp_path / "backup", None, no_erasures=True)
    expected = {digest(body) for body in PICTURES.values()}
    assert {line.digest for line in done.missing} == expected
    assert {
        line.split()[0] for line in (fresh.data / "missing-objects.txt").read_text().splitlines()
    } == expected


# --- kill -9


def command(settings: Settings, *arguments: str) -> BaseProcess:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMFYPLUS_")}
    return begun(arguments, inherited | {"COMFYPLUS_DATA": str(settings.data)}, said(settings))


def said(settings: Settings) -> Path:
    return settings.data.with_name(f"{settings.data.name}.said")


def killed(process: BaseProcess, after_s: float) -> bool:
    process.join(after_s)
    over = process.exitcode is not None
    process.kill()
    process.join()
    return not over


def test_a_restore_that_is_killed_leaves_nothing_and_can_be_done_again(
    home: Settings, bare: Settings, taken: Path
) -> None:
    chance = random.Random(7)
    for _ in range(KILLS):
        if not killed(command(bare, "restore", str(taken), "--no-erasures"), chance.uniform(0.05, 2.2)):
            break
        if not is_empty(bare):
            break  # it was killed behind its end
    else:
        process = command(bare, "restore", str(taken), "--no-erasures")
        process.join()
        assert process.exitcode == 0, said(bare).read_text()
    same_but_identity(rows(home), rows(bare))
    assert stored(bare.data) == stored(home.data)


def test_a_backup_that_is_killed_does_not_look_like_one(
    home: Settings, bare: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    target, chance = folder / "backup.tar", random.Random(11)
    for _ in range(KILLS):
        if killed(command(home, "backup", str(target), "--with-objects"), chance.uniform(0.02, 1.7)):
            assert not target.exists() or not list(folder.glob("*.unfinished"))
        if target.exists():
            break
    else:
        process = command(home, "backup", str(target), "--with-objects")
        process.join()
        assert process.exitcode == 0, said(home).read_text()
        assert list(folder.iterdir()) == [target]
    bring_back(bare, target, None, no_erasures=True)
    same_but_identity(rows(home), rows(bare))
