"""Our own processes, as `comfyplus up` runs them: copies of one that has loaded what they all need."""

import gc
import os
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from infra.embedded.child import Child
from infra.embedded.ports import ANYWHERE, LOOPBACK, free_port
from infra.settings import PREFIX, Settings
from infra.start import keep_what_is_loaded, prepared

ROOT = Path(__file__).parent.parent


def our_programs(settings: Settings) -> Sequence[Child]:
    """Everything they need is loaded when this returns, so that each of them starts, and starts again, at once."""
    gc.disable()
    host, port = ANYWHERE.get(settings.host, settings.host), settings.port
    children = [_program("api", settings, is_ready=lambda _pid: _answers(host, port, "/health/ready"))]
    children += [_program(name, settings) for name in ("dispatch", "project", "relay")]
    children.append(replace(_program("errands", settings), can_wait=True))
    if settings.comfyui_url is None:
        place = SandboxPlace(settings.data / "sandbox", free_port())
        children.append(_sandbox(place, settings))
        settings = replace(settings, comfyui_url=place.url, models_dir=place.directory / "models")
    children.append(_program("execute", _of_executor(settings), logs=settings.data / "log"))
    keep_what_is_loaded()
    return children


class SandboxPlace(Struct, frozen=True):
    """Where the sandbox lies and answers, also after it has been started again."""

    directory: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


def _sandbox(place: SandboxPlace, settings: Settings) -> Child:
    from infra.sandbox.server import serve
    from infra.sandbox.settings import SandboxSettings

    place.directory.mkdir(parents=True, exist_ok=True)
    chosen = SandboxSettings(directory=place.directory, port=place.port, port_file=place.directory / "port")
    few = Settings(data=settings.data, log_level=settings.log_level)
    return _child("sandbox", few, lambda: serve(chosen))


def _of_executor(settings: Settings) -> Settings:
    """No more than it needs to know."""
    return Settings(
        data=settings.data / f"executor-{settings.executor}",
        gate=settings.gate,
        nats_exec_url=settings.nats_exec_url,
        api_url=settings.api_url,
        comfyui_url=settings.comfyui_url,
        backend=settings.backend,
        executor=settings.executor,
        models_dir=settings.models_dir,
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


def _program(
    name: str,
    settings: Settings,
    logs: Path | None = None,
    is_ready: Callable[[int], bool] = lambda _pid: True,
) -> Child:
    child = _child(name, settings, prepared(name, settings), logs)
    return replace(child, is_ready=is_ready)


def _child(name: str, settings: Settings, program: Callable[[], None], logs: Path | None = None) -> Child:
    return Child(
        name=name,
        program=program,
        cwd=ROOT,
        log=(logs or settings.data / "log") / f"{name}.log",
        environment=inherited() | settings.to_environment(),
    )


def inherited() -> dict[str, str]:
    """Our environment without our settings: those are passed on as they turned out."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name != "COMFYUI_URL"
    }


def _answers(host: str, port: int, path: str) -> bool:
    connection = HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
