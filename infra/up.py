"""Everything on one machine: embedded servers where the settings name none, and all of our processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import replace

from infra.embedded.child import POLL_S, Child, clearing_its_own_way, finish, start, stop
from infra.embedded.lock import closed_gate, folder_lock
from infra.embedded.nats import prepare_nats
from infra.embedded.ports import ANYWHERE, choose_port
from infra.embedded.postgres import prepare_postgres
from infra.nats_users import app_password, executor_password, urls, users
from infra.programs import ROOT, inherited, our_programs
from infra.settings import Settings, SettingsError, load_secret, role_password, role_url
from infra.supervisor import Supervisor

SERVERS, PROGRAMS, ERRANDS = 1, 2, 3  # stages: the last stops first
RUNNING = "running.env"


class Launched(Struct, frozen=True):
    """A running whole: `url` answers, `settings` are those its processes were given."""

    url: str
    settings: Settings
    supervisor: Supervisor


def up(settings: Settings, say: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises FolderTakenError, ChildFailedError, SettingsError, psycopg.Error."""
    told = _Told()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, told)
    try:
        with launched(settings, say) as whole:
            say(f"ComfyUI Plus answers at {whole.url}")
            whole.supervisor.watch(until=lambda: told.to_stop)
    except KeyboardInterrupt:
        pass
    say("stopped")


class _Told:
    """Hears that we are to stop, and lets whatever is under way end first: it raises at the second time only.

    An exception amid a fork or a wait is lost, or leaves a lock held.
    """

    def __init__(self) -> None:
        self.to_stop = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.to_stop:
            raise KeyboardInterrupt
        self.to_stop = True


@contextmanager
def launched(
    settings: Settings,
    say: Callable[[str], None],
    programs: Callable[[Settings], Sequence[Child]] = our_programs,
) -> Iterator[Launched]:
    """Start all, wait until the API is ready, stop all in the end. Nothing is restarted unless somebody watches.

    What the programs need is loaded once, here, while the servers start and the migrations run.
    """
    settings = replace(settings, data=settings.data.absolute(), gate=settings.data.absolute() / "gate")
    with folder_lock(settings.data), Supervisor(settings.data / "processes.json", say) as supervisor:
        with closed_gate(settings.data / "gate"):
            secret = load_secret(settings)
            settings, servers = _with_servers(settings, secret)
            owner_url = str(settings.database_url)
            settings = _with_addresses(_with_roles(settings, secret), say)
            _tell_operators(settings)
            supervisor.start(SERVERS, *servers)
            with _migrating(
                settings, owner_url, secret, [(each, supervisor.pid(each.name)) for each in servers]
            ) as until_done:
                chosen = programs(settings)
                supervisor.start(PROGRAMS, *(child for child in chosen if not child.can_wait))
                supervisor.wait_until_ready(SERVERS)
                until_done()
        supervisor.wait_until_ready(PROGRAMS)
        supervisor.start(ERRANDS, *(child for child in chosen if child.can_wait))
        yield Launched(str(settings.public_url), settings, supervisor)


def _tell_operators(settings: Settings) -> None:
    """Where the whole runs, for commands such as `replay`. It opens doors, so only the owner may read it."""
    path = settings.data / RUNNING
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in settings.to_environment().items())


@contextmanager
def _migrating(
    settings: Settings, owner_url: str, secret: bytes, servers: Sequence[tuple[Child, int]]
) -> Iterator[Callable[[], None]]:
    """A process migrates as soon as the servers are there. Gives what waits for it, or raises ChildFailedError."""

    def program() -> None:
        import psycopg  # while the servers start

        from infra.migrate import ROLES, MigrationChangedError, migrate

        for server, pid in servers:
            while not server.is_ready(pid):
                time.sleep(POLL_S)
        try:
            migrate(owner_url, {role: role_password(secret, role) for role in ROLES})
        except (MigrationChangedError, psycopg.Error) as error:
            raise SystemExit(str(error)) from error

    log = settings.data / "log" / "migrate.log"
    child = Child(name="migrate", program=program, cwd=ROOT, log=log, environment=inherited())
    process = start(child)
    try:
        yield lambda: finish(child, process)
    finally:
        stop(child, process)


def _with_servers(settings: Settings, secret: bytes) -> tuple[Settings, list[Child]]:
    """The servers that the settings do not name, and the settings that name them."""
    logs = settings.data / "log"
    servers: list[Child] = []
    if settings.nats_url is None:
        app, executor = app_password(secret), executor_password(secret, settings.executor)
        nats = prepare_nats(
            settings.data,
            logs / "nats.log",
            app_password=app,
            executors={settings.executor: executor},
            integrators=users(secret),
            host=settings.nats_host,
            port=settings.nats_port,
        )
        servers.append(nats.child)
        settings = replace(
            settings,
            nats_url=_as(nats.url, "app", app),
            nats_exec_url=_as(nats.url, settings.executor, executor),
            **urls(nats.url, secret),
        )
    elif settings.nats_exec_url is None:
        raise SettingsError("COMFYPLUS_NATS_URL is set, so COMFYPLUS_NATS_EXEC_URL must be set too.")
    if settings.database_url is None:
        postgres = prepare_postgres(settings.data, logs / "postgres.log")
        made = (settings.data / "postgres" / "PG_VERSION").exists()
        servers.append(postgres.child if made else clearing_its_own_way(postgres.child, settings.data))
        settings = replace(settings, database_url=postgres.url)
    return settings, servers


def _with_roles(settings: Settings, secret: bytes) -> Settings:
    """A URL for each role. The owner's is left out: no process but this one may change tables."""
    owner = str(settings.database_url)

    def url(role: str, named: str | None) -> str:
        return named or role_url(owner, secret, f"comfyplus_{role}")

    return replace(
        settings,
        database_url=None,
        app_database_url=url("app", settings.app_database_url),
        project_database_url=url("project", settings.project_database_url),
        query_database_url=url("query", settings.query_database_url),
        dispatch_database_url=url("dispatch", settings.dispatch_database_url),
        relay_database_url=url("relay", settings.relay_database_url),
    )


def _with_addresses(settings: Settings, say: Callable[[str], None]) -> Settings:
    port = choose_port(settings.host, settings.port)
    if settings.port not in (0, port):
        say(f"Port {settings.port} is taken, using {port}.")
    host = ANYWHERE.get(settings.host, settings.host)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return replace(
        settings,
        port=port,
        public_url=settings.public_url or url,
        api_url=settings.api_url or url,
    )


def _as(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}"))
