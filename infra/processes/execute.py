"""`comfyplus execute`: drives a ComfyUI. Needs NATS and the API's object routes, never Postgres."""

import asyncio
import signal
from contextlib import closing

from adapters.comfyui.backend import ComfyUIBackend
from adapters.comfyui.client import Address
from adapters.imaging.thumbnails import PillowImaging
from adapters.nats.executor_link import NatsDispatchLink
from adapters.objects.claim_objects import HttpClaimObjects
from adapters.outbound.transport import KeptTransport
from adapters.spool.disk import DiskSpool
from infra.settings import Settings
from infra.wiring import nats, needed
from services.execution.executor import Executor
from services.execution.settings import ExecutorSettings


async def run(settings: Settings) -> None:
    name = settings.executor
    comfyui = needed(settings.comfyui_url, "COMFYUI_URL")
    api = needed(settings.api_url, "COMFYPLUS_API_URL")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        nats(f"executor {name}", settings.nats_exec_url, inbox_prefix=f"_INBOX_{name}") as connection,
        KeptTransport() as transport,  # httpx's own would double what a run costs this process
    ):
        with (
            closing(DiskSpool(settings.data / "spool" / name)) as spool,
            closing(PillowImaging(max_pixels=settings.max_image_pixels)) as imaging,
        ):
            link = NatsDispatchLink(connection, name)
            await link.listen()
            executor = Executor(
                name=name,
                backends=[ComfyUIBackend(settings.backend, Address(comfyui), transport)],
                link=link,
                objects=HttpClaimObjects(api, transport),
                imaging=imaging,
                spool=spool,
                settings=ExecutorSettings(beat_s=settings.beat_s, file_limit_bytes=settings.max_object_bytes),
            )
            await executor.run(stop)
