"""Is it alive, is it of use, and what exactly is wrong."""

import asyncio
from typing import Literal

from litestar import Response, Router, get
from litestar.di import NamedDependency
from msgspec import Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.parts import Parts, Unwell

LOOK_S = 2.0
NEEDED = ("log", "nats")
"""Without these the API is of no use; the others may come and go."""


class Health(Struct, frozen=True):
    status: Literal["ok", "failing"]


class Look(Struct, frozen=True):
    status: Literal["ok", "failing"]
    detail: str


class DetailedHealth(Struct, frozen=True):
    status: Literal["ok", "failing"]
    parts: dict[str, Look]


@get("/", responses=answers(200, Health))
async def alive() -> Health:
    """The process answers."""
    return Health("ok")


@get("/ready", responses=answers(200, Health))
async def ready(parts: NamedDependency[Parts]) -> Response[Health]:
    """It can do its work: 200, else 503."""
    looks = await asyncio.gather(*(_look(parts, name) for name in NEEDED if name in parts.checks))
    good = all(look.status == "ok" for look in looks)
    return Response(Health("ok" if good else "failing"), status_code=200 if good else 503)


@get("/detailed", responses=answers(200, DetailedHealth))
async def detailed(parts: NamedDependency[Parts]) -> DetailedHealth:
    """Every part by name: what it says, or what is wrong with it."""
    names = list(parts.checks)
    looks = dict(zip(names, await asyncio.gather(*(_look(parts, name) for name in names)), strict=True))
    good = all(look.status == "ok" for look in looks.values())
    return DetailedHealth("ok" if good else "failing", looks)


async def _look(parts: Parts, name: str) -> Look:
    try:
        async with asyncio.timeout(LOOK_S):
            return Look("ok", await parts.checks[name]())
    except TimeoutError:
        return Look("failing", f"No answer within {LOOK_S:g} s.")
    except Unwell as error:
        return Look("failing", str(error))
    except Exception as error:  # whatever is wrong with a part is what this page is for
        return Look("failing", type(error).__name__)


ROUTER = Router("/health", security=ANYBODY, route_handlers=[alive, ready, detailed], tags=["health"])
