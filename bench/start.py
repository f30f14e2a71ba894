"""start_s: from `comfyplus up` to the first answered request.

The program is started as a process on a folder that does not exist, and asked for `GET /health/ready` every few
milliseconds until it answers 200; then it is stopped with SIGTERM, and the same is done on the folder it left.
The figure is the median for a fresh folder: it includes making the database cluster and all tables.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median

from bench.figures import spread
from bench.row import Figure, Ground
from bench.servers import ROOT, environment
from infra.embedded.ports import free_port

TIMES = 5
LOOK_S = 0.005
PATIENCE_S = 60.0


def measure(ground: Ground) -> Mapping[str, Figure]:
    fresh, again = [], []
    for number in range(ground.rounds(TIMES)):
        folder = ground.folder / str(number)
        fresh.append(_start(folder))
        again.append(_start(folder))
    detail = f"fresh folder {spread(fresh)}, existing folder {spread(again)}; to the first 200 of GET /health/ready"
    return {"start_s": Figure(median(fresh), detail)}


def _start(folder: Path) -> float:
    port = free_port()
    settings = {"COMFYPLUS_DATA": str(folder), "COMFYPLUS_PORT": str(port)}
    begun = time.monotonic()
    process = subprocess.Popen(
        (sys.executable, "-m", "infra.cli", "up"),
        cwd=ROOT,
        env=environment() | settings,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not _ready(port):
            if process.poll() is not None or time.monotonic() - begun > PATIENCE_S:
                raise RuntimeError(f"`comfyplus up` did not come up; it ended with {process.returncode}.")
            time.sleep(LOOK_S)
        return time.monotonic() - begun
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_S)


def _ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
