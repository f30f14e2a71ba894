"""`comfyplus execute`: drives ComfyUIs, the one that the settings name and those that are registered.

Needs NATS and the API's object routes, never Postgres.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from uuid import UUID

from adapters.imaging.thumbnails import PillowImaging
from adapters.models.folder import DiskModels
from adapters.nats.executor_link import NatsDispatchLink
from adapters.objects.claim_objects import HttpClaimObjects
from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from adapters.spool.disk import DiskSpool
from domain.backend import Kind, bound_to, own_name
from infra.lines import Ways, line
from infra.settings import Settings
from infra.wiring import nats, needed
from services.execution.executor import Executor
from services.execution.settings import ExecutorSettings
from services.ports.messages import BackendOrder

OURS = UUID(int=0)
"""In the place of an order's access."""


async def run(settings: Settings) -> None:
    name = settings.executor
    api = needed(settings.api_url, "COMFYPLUS_API_URL")
    guard = Guard(private=settings.backend_private_addresses)

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        nats(f"executor {name}", settings.nats_exec_url, inbox_prefix=f"_INBOX_{name}") as connection,
        KeptTransport() as transport,  # httpx's own would double what a run costs this process
        KeptTransport(resolve=guard) as guarded,
    ):
        with (
            closing(DiskSpool(settings.data / "spool" / name)) as spool,
            closing(PillowImaging(max_pixels=settings.max_image_pixels)) as imaging,
            ExitStack() as stack,
        ):
            ways = Ways(transport, guarded, guard)
            link = NatsDispatchLink(connection, name)
            await link.listen()
            folders = {}
            if settings.models_dir is not None:
                folders[backend_name(settings)] = stack.enter_context(
                    closing(DiskModels(settings.models_dir))
                )
            executor = Executor(
                name=name,
                backends=[line(order, ways) for order in _own(settings)],
                connect=lambda order: line(order, ways),
                link=link,
                objects=HttpClaimObjects(api, transport),
                imaging=imaging,
                spool=spool,
                folders=folders,
                settings=ExecutorSettings(
                    beat_s=settings.beat_s,
                    drain_s=settings.drain_s,
                    slots=settings.slots,
                    file_limit_bytes=settings.max_object_bytes,
                    lora_limit_bytes=settings.lora_cache_bytes,
                ),
            )
            try:
                await executor.run(stop)
            finally:
                guard.close()


def backend_name(settings: Settings) -> str:
    """An account's own executor drives that account's own backend."""
    owner = bound_to(settings.executor)
    return settings.backend if owner is None else own_name(owner)


def _own(settings: Settings) -> Iterator[BackendOrder]:
    """Those that our settings name; all others are registered."""
    if settings.comfyui_url is not None:
        yield BackendOrder(name=backend_name(settings), access=OURS, url=settings.comfyui_url)
    if settings.runpod_endpoint is not None:
        key = needed(settings.runpod_api_key, "COMFYPLUS_RUNPOD_API_KEY")
        yield BackendOrder(
            name=settings.runpod_backend,
            access=OURS,
            kind=Kind.RUNPOD,
            url=f"{settings.runpod_url}/{settings.runpod_endpoint}",
            header="authorization",
            value=f"Bearer {key}",
        )
