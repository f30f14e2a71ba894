"""A real S3 server for the tests: rclone's, on a folder."""

import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from adapters.storage.s3 import Bucket, S3Objects, opened
from infra.embedded.child import Child
from infra.embedded.ports import free_port
from infra.wiring import now
from tests.servers import running

BUCKET = "test-bucket"
ACCESS_KEY = "only-for-tests-key"  # shorter ones are refused
SECRET_KEY = "only-for-tests-secret"


class S3Server(Struct, frozen=True):
    """`folder`: its buckets, as folders. One that comes later is not seen for minutes."""

    url: str
    folder: Path
    port: int

    def bucket(self, link_s: int | None = 300, url: str | None = None) -> Bucket:
        """Nothing is in it: its prefix is new. `url`: another way there."""
        return Bucket(
            name=BUCKET,
            endpoint=url or self.url,
            public_endpoint=self.url,
            region="us-east-1",
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            prefix=f"some/{secrets.token_hex(6)}/",
            path_style=True,
            link_s=link_s,
        )


def child(folder: Path, port: int) -> Child:
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    rclone = Path(sys.executable).parent / "rclone"
    argv = (
        rclone,
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{ACCESS_KEY},{SECRET_KEY}",
        folder,
    )
    return Child(
        name="s3",
        argv=tuple(map(str, argv)),
        cwd=folder,
        log=folder.with_suffix(".log"),
        environment={**os.environ, "RCLONE_CONFIG": os.devnull},
        is_ready=lambda pid: _listens(port),
    )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3") / "buckets") as server:
        yield server


@contextmanager
def running_s3(folder: Path, port: int | None = None) -> Iterator[S3Server]:
    port = port or free_port()
    with running(child(folder, port)):
        yield S3Server(f"http://127.0.0.1:{port}", folder, port)


@asynccontextmanager
async def fresh(server: S3Server) -> AsyncIterator[S3Objects]:
    async with opened(server.bucket(), now) as objects:
        yield objects


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
