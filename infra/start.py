"""How each of our processes starts: only its own parts are loaded, and before the servers are there."""

import gc
import importlib
import os
import sys

from infra.settings import Settings, SettingsError

GARBAGE = 20_000  # objects; Python's own 700 has a busy process look for cycles all the time


def start(name: str) -> None:
    """Run one of `infra.processes` until it is told to stop. Ends with 2 where the settings are wrong."""
    try:
        settings = Settings.from_environment(os.environ)
        gc.disable()  # nothing of what is loaded is ever let go
        _load_nats()
        module = importlib.import_module(f"infra.processes.{name}")
        import uvloop

        from infra.embedded.lock import pass_gate
        from infra.logs import configure

        configure(settings.log_level, name)
        pass_gate(settings.gate)
        gc.freeze()
        gc.set_threshold(GARBAGE)
        gc.enable()
        uvloop.run(module.run(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def _load_nats() -> None:
    """Without aiohttp, which nats-py loads where it is there: it speaks WebSocket by it, which we never do."""
    if "aiohttp" in sys.modules:
        return
    sys.modules["aiohttp"] = None  # type: ignore[assignment]  # importing it fails
    try:
        importlib.import_module("nats.aio.transport")
    finally:
        del sys.modules["aiohttp"]
