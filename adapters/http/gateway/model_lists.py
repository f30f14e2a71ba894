"""The model files that the caller may use, by folder: those of the backends, and the LoRAs of its own."""

from adapters.http.gateway.call import Answer, Call, json
from adapters.http.gateway.classes import offered_to
from commands.known_classes import catalogue
from workflows.class_catalogue import Choices

FOLDERS = (
    *("checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision"),
    *("style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "gligen", "upscale_models"),
    *("custom_nodes", "hypernetworks", "photomaker", "classifiers", "model_patches", "audio_encoders"),
)
"""Those that every ComfyUI has; backends may have more."""
NO_MODELS = ("configs", "custom_nodes")
MISSING = Answer(status=404)


async def folders(call: Call) -> Answer:
    """GET /models."""
    return json(await _folders(call))


async def files(call: Call) -> Answer:
    """GET /models/{folder}: names as graphs have them."""
    found = await _files(call, call.names["folder"])
    return MISSING if found is None else json(found)


async def folders_with_places(call: Call) -> Answer:
    """GET /experiment/models. Where a folder lies is the machines' business: its name stands for it."""
    return json([{"name": name, "folders": [name]} for name in await _folders(call) if name not in NO_MODELS])


async def files_with_places(call: Call) -> Answer:
    """GET /experiment/models/{folder}."""
    found = await _files(call, call.names["folder"])
    if found is None:
        return MISSING
    return json([{"name": name, "pathIndex": 0} for name in found])


async def embeddings(call: Call) -> Answer:
    """GET /embeddings: as prompts name them."""
    return json([name.rpartition(".")[0] or name for name in await _files(call, "embeddings") or ()])


async def _folders(call: Call) -> list[str]:
    view = await call.parts.commands.needs.backends.now()
    known = await catalogue(call.caller.account, view, call.parts.commands.needs)
    return list(dict.fromkeys((*FOLDERS, *known.folders)))


async def _files(call: Call, folder: str) -> list[str] | None:
    """None: there is no such folder."""
    view = await call.parts.commands.needs.backends.now()
    known = await catalogue(call.caller.account, view, call.parts.commands.needs)
    if folder not in FOLDERS and folder not in known.folders:
        return None
    wanted = Choices(folder, (), known.folders.get(folder, ()), (), True)
    return (await offered_to(call, view, [wanted])).choices(wanted)
