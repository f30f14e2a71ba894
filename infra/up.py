"""Everything on one machine: embedded servers where the settings name none, and all of our processes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import replace

from infra.embedded.child import Child
from infra.embedded.lock import closed_gate, folder_lock
from infra.embedded.nats import prepare_nats
from infra.embedded.ports import choose_port, free_port
from infra.embedded.postgres import prepare_postgres
from infra.nats_users import app_password, executor_password, urls, users
from infra.settings import PREFIX, Settings, SettingsError, load_secret, role_password, role_url
from infra.supervisor import Supervisor

SERVERS, PROGRAMS, ERRANDS = 1, 2, 3  # stages: the last stops first
RUNNING = "running.env"
ROOT = Path(__file__).parent.parent
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where a server that listens everywhere is reached


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
    programs: Callable[[Settings], Sequence[Child]] = lambda settings: our_programs(settings),
) -> Iterator[Launched]:
    """Start all, wait until the API is ready, stop all in the end. Nothing is restarted unless somebody watches."""
    settings = replace(settings, data=settings.data.absolute(), gate=settings.data.absolute() / "gate")
    with folder_lock(settings.data), Supervisor(settings.data / "processes.json", say) as supervisor:
        with closed_gate(settings.data / "gate"):
            secret = load_secret(settings)
            settings, servers = _with_servers(settings, secret)
            owner_url = str(settings.database_url)
            settings = _with_addresses(_with_roles(settings, secret), say)
            _tell_operators(settings)
            chosen = programs(settings)
            supervisor.start(PROGRAMS, *(child for child in chosen if not child.can_wait))
            supervisor.start(SERVERS, *servers)
            _migrate(owner_url, secret, supervisor)
        supervisor.wait_until_ready(PROGRAMS)
        supervisor.start(ERRANDS, *(child for child in chosen if child.can_wait))
        yield Launched(str(settings.public_url), settings, supervisor)


def _tell_operators(settings: Settings) -> None:
    """Where the whole runs, for commands such as `replay`. It opens doors, so only the owner may read it."""
    path = settings.data / RUNNING
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in settings.to_environment().items())


def _migrate(owner_url: str, secret: bytes, supervisor: Supervisor) -> None:
    from infra.migrate import ROLES, migrate  # psycopg loads while the servers start

    supervisor.wait_until_ready(SERVERS)
    migrate(owner_url, {role: role_password(secret, role) for role in ROLES})


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
        servers.append(postgres.child)
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


def our_programs(settings: Settings) -> Sequence[Child]:
    """The API first: it takes longest to load."""
    host, port = ANYWHERE.get(settings.host, settings.host), settings.port
    children = [_program("api", settings, is_ready=lambda _pid: _answers(host, port, "/health/ready"))]
    children += [_program(name, settings) for name in ("dispatch", "project", "relay")]
    children.append(replace(_program("errands", settings), can_wait=True))
    backend, models = settings.comfyui_url, settings.models_dir
    if backend is None:
        models = settings.data / "sandbox" / "models"
        sandbox_port = free_port()
        backend = f"http://127.0.0.1:{sandbox_port}"
        children.append(
            replace(
                _program("sandbox", Settings(data=settings.data, log_level=settings.log_level)),
                argv=_sandbox(settings.data / "sandbox", sandbox_port),
            )
        )
    executor = Settings(
        data=settings.data / f"executor-{settings.executor}",
        gate=settings.gate,
        nats_exec_url=settings.nats_exec_url,
        api_url=settings.api_url,
        comfyui_url=backend,
        backend=settings.backend,
        executor=settings.executor,
        models_dir=models,
        lora_cache_bytes=settings.lora_cache_bytes,
        lease_s=settings.lease_s,
        beat_s=settings.beat_s,
        drain_s=settings.drain_s,
        slots=settings.slots,
        backend_private_addresses=settings.backend_private_addresses,
        max_object_bytes=settings.max_object_bytes,
        max_image_pixels=settings.max_image_pixels,
        log_level=settings.log_level,
    )
    children.append(_program("execute", executor, logs=settings.data / "log"))
    return children


def _sandbox(directory: Path, port: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "infra.sandbox", "--directory", str(directory), "--port", str(port))


def _program(
    name: str,
    settings: Settings,
    logs: Path | None = None,
    is_ready: Callable[[int], bool] = lambda _pid: True,
) -> Child:
    return Child(
        name=name,
        argv=(sys.executable, "-m", "infra.processes", name),
        cwd=ROOT,
        log=(logs or settings.data / "log") / f"{name}.log",
        environment=_inherited() | settings.to_environment(),
        is_ready=is_ready,
    )


def _inherited() -> dict[str, str]:
    """Our environment without our settings: those are passed on as they turned out."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name != "COMFYUI_URL"
    } | {"PYTHONUNBUFFERED": "1"}


def _as(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}"))


def _answers(host: str, port: int, path: str) -> bool:
    connection = HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
