"""How each of our processes starts: only its own parts are loaded, and before the servers are there."""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from infra.settings import Settings, SettingsError

GARBAGE = 20_000  # objects; Python's own 700 has a busy process look for cycles all the time


def start(name: str) -> None:
    """Run one of `infra.processes` until it is told to stop. Ends with 2 where the settings are wrong."""
    with _plain_refusal():
        settings = Settings.from_environment(os.environ)
        gc.disable()
        program = prepared(name, settings)
        keep_what_is_loaded()
        program()


def prepared(name: str, settings: Settings) -> Callable[[], None]:
    """One of `infra.processes` with everything loaded, to be called in a process of its own."""
    module, loaded = load(name, settings)
    import uvloop

    from infra.embedded.lock import pass_gate
    from infra.logs import configure

    def run() -> None:
        with _plain_refusal():
            configure(settings.log_level, name)
            pass_gate(settings.gate)
            uvloop.run(module.run(settings, *loaded))

    return run


def load(name: str, settings: Settings) -> tuple[Any, tuple[Any, ...]]:
    """A process, and what it makes before it runs: everything that can be done while there are no servers yet."""
    with _without("aiohttp"):  # by which nats-py would speak WebSocket, as we never do
        importlib.import_module("nats.aio.transport")
    with _without("pydantic", "httpx._main"):  # models and a command line that we do not have
        module: Any = importlib.import_module(f"infra.processes.{name}")
        return module, (module.load(settings),) if hasattr(module, "load") else ()


def keep_what_is_loaded() -> None:
    """Nothing of it is ever let go, so nobody looks through it for what could be."""
    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()


@contextmanager
def _plain_refusal() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """What is loaded meanwhile does not find these modules, which it would take where they are there."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # importing None fails
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
