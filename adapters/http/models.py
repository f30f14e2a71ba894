"""The models that there are: what the live backends have, as their executors have found it."""

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from projections.paging import bounded


class ModelAnswer(Struct):
    type: Annotated[str, Meta(description="The folder that it lies in.", examples=["checkpoints"])]
    name: Annotated[str, Meta(description="As a graph names it.", examples=["sd15.safetensors"])]
    backends: Annotated[list[str], Meta(description="The live backends that have it.", examples=[["gpu-1"]])]


class ModelPage(Struct):
    items: list[ModelAnswer]
    next_cursor: Cursor


@get("/models", responses=answers(200, ModelPage, 401, 422))
async def show(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
    type: FromQuery[str | None] = None,
) -> ModelPage:
    """What your graphs may load: models of the shared backends and of your own, by type and name."""
    most = bounded(limit)
    view = await parts.commands.needs.backends.now()
    found: dict[str, list[str]] = {}
    for each in view.backends:
        if each.inventory is None or not each.state.live or not each.serves(caller.account):
            continue
        for folder, names in each.inventory.models.items():
            if type is None or folder == type:
                for name in names:
                    found.setdefault(f"{folder}/{name}", []).append(each.state.name)
    wanted = [key for key in sorted(found) if cursor is None or key > cursor]
    items = [_shown(key, found[key]) for key in wanted[:most]]
    return ModelPage(items, wanted[most - 1] if len(wanted) > most else None)


def _shown(key: str, backends: list[str]) -> ModelAnswer:
    folder, _, name = key.partition("/")
    return ModelAnswer(folder, name, sorted(backends))


ROUTER = Router("/", route_handlers=[show], tags=["models"])
