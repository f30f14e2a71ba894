"""A program to be killed by tests: the embedded servers, and one process of ours that only waits.

Prints one line when all is ready: where the log can be found by whom.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from threading import Event

from infra.embedded.child import Child, ChildFailedError
from infra.embedded.lock import FolderTakenError
from infra.settings import Settings
from infra.up import ROOT, launched


def one_program(settings: Settings) -> Sequence[Child]:
    log = settings.data / "log" / "waiter.log"
    return [Child(name="waiter", program=signal.pause, cwd=ROOT, log=log, environment=dict(os.environ))]


def main() -> None:
    asked = Event()
    signal.signal(
        signal.SIGINT, lambda *_: asked.set()
    )  # an exception that is raised anywhere may be lost there
    try:
        with launched(Settings.from_environment(os.environ), print, programs=one_program) as whole:
            settings = whole.settings
            print(json.dumps({"database": settings.app_database_url, "nats": settings.nats_url}), flush=True)
            whole.supervisor.watch(until=asked.is_set)
    except (FolderTakenError, ChildFailedError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
