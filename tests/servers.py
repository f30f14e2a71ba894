"""Real servers for the tests: those the environment names, else containers, else the embedded ones."""

import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from msgspec import Struct
from psycopg import sql

from infra.embedded.child import Child, start, stop, wait_until_ready
from infra.embedded.nats import prepare_nats
from infra.embedded.postgres import prepare_postgres
from infra.migrate import ROLES, migrate
from infra.nats_users import users

PASSWORD = "only-for-tests"
SECRET = "a secret that only tests know, long enough"
EXECUTORS = ("gpu-1", "gpu-2")
MIGRATING = 41_773  # roles belong to the whole server, which parallel test processes may share


_owners: dict[str, psycopg.Connection] = {}


class Database(Struct, frozen=True):
    """A fresh, migrated database. `url` is the owner's."""

    url: str

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")

    def url_of(self, role: str) -> str:
        """For one of the login roles, `comfyplus_app` and so on."""
        return _with(self.url, user=role, password=PASSWORD)


class NatsServer(Struct, frozen=True):
    """`url` logs in as APP's user; executors are `gpu-1` and `gpu-2`."""

    url: str
    monitor_url: str

    def url_of(self, executor: str) -> str:
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=f"{executor}:{PASSWORD}@{parts.hostname}:{parts.port}"))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The owner's URL of a running server."""
    if named := os.environ.get("COMFYPLUS_TEST_DATABASE_URL"):
        yield named
    elif _docker_answers():
        with _postgres_container() as url:
            yield url
    else:
        folder = tmp_path_factory.mktemp("postgres")
        server = prepare_postgres(folder, folder / "postgres.log", durable=False)
        with running(server.child):
            yield server.url
            part(server.url)


@pytest.fixture(scope="session")
def database_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    name = f"template_{secrets.token_hex(6)}"
    with closing(psycopg.connect(postgres_url, autocommit=True)) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", (MIGRATING,))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        migrate(_with(postgres_url, database=name), dict.fromkeys(ROLES, PASSWORD))
        admin.execute("SELECT pg_advisory_unlock(%s)", (MIGRATING,))
        yield name
        _drop(admin, name)


@pytest.fixture
def database(postgres_url: str, database_template: str) -> Iterator[Database]:
    """A database of the test's own, with a log identity of its own."""
    with copied(postgres_url, database_template) as made:
        yield made


@contextmanager
def copied(postgres_url: str, database_template: str) -> Iterator[Database]:
    """A new database like the template, dropped in the end."""
    name = f"test_{secrets.token_hex(6)}"
    made = Database(_with(postgres_url, database=name))
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    owned(postgres_url).execute(copy.format(sql.Identifier(name), sql.Identifier(database_template)))
    with closing(psycopg.connect(made.url, autocommit=True)) as owner:
        owner.execute("UPDATE log.identity SET id = gen_random_uuid()")
        grant = sql.SQL("GRANT CREATE ON DATABASE {} TO comfyplus_project")  # not copied with the template
        owner.execute(grant.format(sql.Identifier(name)))
    yield made
    part(made.url)
    _drop(owned(postgres_url), name)


@contextmanager
def bare(postgres_url: str) -> Iterator[Database]:
    """A new database without any of our tables, dropped in the end."""
    name = f"test_{secrets.token_hex(6)}"
    owned(postgres_url).execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield Database(_with(postgres_url, database=name))
    _drop(owned(postgres_url), name)


def owned(url: str) -> psycopg.Connection:
    """A connection in autocommit mode, always the same: to make one takes longer than most questions."""
    if url not in _owners:
        _owners[url] = psycopg.connect(url, autocommit=True, connect_timeout=5)
    return _owners[url]


def part(url: str) -> None:
    """Close that connection, if there is one."""
    if url in _owners:
        _owners.pop(url).close()


def looked_up(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows, by that connection. A server that was started anew has ended those of before."""
    if url in _owners:
        try:
            return owned(url).execute(query.encode(), values).fetchall()
        except psycopg.OperationalError:
            part(url)
    return owned(url).execute(query.encode(), values).fetchall()


def everything(owner_url: str) -> str:
    """Every value in every table and view of a database, in lower case; bytes as if they were Latin-1."""
    tables = """SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
        WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"""
    found = []
    with psycopg.connect(owner_url) as connection:
        for (name,) in connection.execute(tables).fetchall():
            for row in connection.execute(f"SELECT t.* FROM {name} AS t".encode()):
                found += [each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in row]
    return "\n".join(found).lower()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One server for the whole session; its streams are shared by all tests that use it."""
    with running_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def fresh_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of the test's own, with no stream yet."""
    with running_nats(tmp_path / "nats-server") as server:
        yield server


@contextmanager
def running(child: Child) -> Iterator[None]:
    process = start(child)
    try:
        wait_until_ready((child, process))
        yield
    finally:
        stop(child, process)


@contextmanager
def running_nats(folder: Path, host: str = "127.0.0.1") -> Iterator[NatsServer]:
    prepared = prepare_nats(
        folder,
        folder / "nats.log",
        app_password=PASSWORD,
        executors=dict.fromkeys(EXECUTORS, PASSWORD),
        integrators=users(SECRET.encode()),
        host=host,
    )
    with running(prepared.child):
        yield NatsServer(prepared.url.replace("nats://", f"nats://app:{PASSWORD}@"), prepared.monitor_url)


@contextmanager
def _postgres_container() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # testcontainers' own
        from testcontainers.postgres import PostgresContainer

        with PostgresContainer("postgres:18-alpine", username="comfyplus", driver=None) as container:
            yield container.get_connection_url()


def _docker_answers() -> bool:
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import docker  # type: ignore[import-untyped]

        try:
            return bool(docker.from_env(timeout=2).ping())
        except docker.errors.DockerException:
            return False


def _drop(admin: psycopg.Connection, name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _with(url: str, *, database: str | None = None, user: str | None = None, password: str = "") -> str:
    parts = urlsplit(url)
    if user is not None:
        address = parts.netloc.rpartition("@")[2]
        parts = parts._replace(netloc=f"{quote(user)}:{quote(password)}@{address}")
    if database is not None:
        parts = parts._replace(path=f"/{database}")
    return urlunsplit(parts)
