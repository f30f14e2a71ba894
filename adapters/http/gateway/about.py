"""What a ComfyUI tells of itself: its system, its features, and what it has beside nodes and models.

Nothing here tells of machines more than what they are: no paths, no logs, no arguments.
"""

from collections.abc import Sequence
from typing import Any

from adapters.http.gateway.call import DONE, Answer, Call, json
from adapters.http.inputs import MAX_BYTES
from commands.known_backends import Known
from commands.known_classes import telling
from workflows.protocol.messages import FEATURE_PREVIEW_METADATA

OLDEST = "0.3.64"
"""The ComfyUI that this speaks like, where no backend tells its version."""
NO_LOGS = {"entries": [], "size": {"cols": 0, "rows": 0}}


async def system_stats(call: Call) -> Answer:
    """GET /system_stats: of the backends that serve the caller, as if they were the devices of one machine."""
    view = await call.parts.commands.needs.backends.now()
    return json(described(telling(call.caller.account, view)))


def described(backends: Sequence[Known]) -> dict[str, Any]:
    """Whoever is believed first speaks for the system. What is free is not asked: it is as much as there is."""
    told = [each.inventory for each in backends if each.inventory is not None]
    first = told[0] if told else None
    ram = first.ram_bytes if first is not None else 0
    return {
        "system": {
            "os": "posix",
            "ram_total": ram,
            "ram_free": ram,
            "comfyui_version": (first.version if first is not None else "") or OLDEST,
            "python_version": first.python_version if first is not None else "",
            "pytorch_version": first.pytorch_version if first is not None else "",
            "embedded_python": False,
            "argv": [],
        },
        "devices": [
            {
                "name": each.device,
                "type": "cuda" if each.vram_bytes else "cpu",
                "index": index,
                "vram_total": each.vram_bytes,
                "vram_free": each.vram_bytes,
                "torch_vram_total": each.vram_bytes,
                "torch_vram_free": each.vram_bytes,
            }
            for index, each in enumerate(told)
        ],
    }


def features() -> dict[str, Any]:
    """What clients are told over the socket, too."""
    return {FEATURE_PREVIEW_METADATA: True, "max_upload_size": MAX_BYTES}


async def show_features(call: Call) -> Answer:
    """GET /features."""
    return json(features())


async def nothing_by_name(call: Call) -> Answer:
    """GET /i18n, /global_subgraphs, /workflow_templates, /internal/folder_paths: what custom nodes bring, or paths."""
    return json({})


async def no_log(call: Call) -> Answer:
    """GET /internal/logs: a real one tells what everybody runs."""
    return json("")


async def no_log_entries(call: Call) -> Answer:
    """GET /internal/logs/raw."""
    return json(NO_LOGS)


async def no_log_to_follow(call: Call) -> Answer:
    """PATCH /internal/logs/subscribe: taken, and nothing ever comes."""
    await call.body()
    return DONE


async def free(call: Call) -> Answer:
    """POST /free: the machines are not the caller's own to empty. What it runs next is right either way."""
    await call.body()
    return DONE
