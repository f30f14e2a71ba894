"""The gate, for administrators: which nodes and sizes are let through to backends."""

from typing import Annotated

from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.gate import SetGate
from commands.streams import Context
from domain.gate import GATE, GATE_ID, GateRules
from workflows.gate import OWN_MODULES, RISKY

Names = Annotated[tuple[str, ...], Meta(description="Node classes.", examples=[["ImpactWildcardProcessor"]])]
Count = Annotated[int, Meta(ge=1)]


class GateBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of the rules; what is left out is as it was at first."""

    allowed: Names = ()
    denied: Names = ()
    nodes: Annotated[Count, Meta(description="Of one graph.")] = GateRules().nodes
    side: Annotated[Count, Meta(description="Of a picture, in pixels.")] = GateRules().side
    pixels: Annotated[Count, Meta(description="Of all pictures that one node makes.")] = GateRules().pixels
    batch: Count = GateRules().batch
    reason: Annotated[
        str, Meta(description="Why, for those who read the log later.", examples=["Asked for."])
    ]


class GateAnswer(Struct, kw_only=True):
    """`own_modules`: ComfyUI's own nodes, let through as such, but for `risky` ones that are not in `allowed`."""

    allowed: tuple[str, ...]
    denied: tuple[str, ...]
    nodes: int
    side: int
    pixels: int
    batch: int
    own_modules: tuple[str, ...]
    risky: tuple[str, ...]


@get("/gate", responses=answers(200, GateAnswer, 401, 403))
async def show(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> GateAnswer:
    """Which nodes, sizes and numbers are let through."""
    state, _ = await parts.commands.needs.streams.load(GATE, GATE_ID)
    rules = state.rules
    return GateAnswer(
        allowed=rules.allowed,
        denied=rules.denied,
        nodes=rules.nodes,
        side=rules.side,
        pixels=rules.pixels,
        batch=rules.batch,
        own_modules=OWN_MODULES,
        risky=tuple(sorted(RISKY)),
    )


@put(
    "/gate",
    dto=StrictBody[GateBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 403, 409, 413, 415, 422),
)
async def set_gate(
    data: JSONBody[GateBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Say anew what is let through, and why. It counts at once here, and within a second everywhere."""
    rules = GateRules(
        allowed=data.allowed,
        denied=data.denied,
        nodes=data.nodes,
        side=data.side,
        pixels=data.pixels,
        batch=data.batch,
    )
    return Moved((await parts.commands.run(SetGate(rules=rules, reason=data.reason), context)).position)


ADMIN = Router("/admin", route_handlers=[show, set_gate], tags=["admin"])
