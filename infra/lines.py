"""How each kind of backend is driven: the one place that names them all. Another provider is a file and a line here."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from adapters.cloud.runpod import RunPodBackend
from adapters.cloud.runpod_client import Client, Endpoint
from adapters.comfyui.backend import ComfyUIBackend
from adapters.comfyui.client import Address
from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from domain.backend import Kind
from services.execution.driving import UnknownKindError
from services.ports.backend import BackendLink
from services.ports.messages import BackendOrder


class Ways(Struct, frozen=True):
    """`guarded`: for addresses that accounts or workers give; it leads into no private network unless allowed."""

    plain: KeptTransport
    guarded: KeptTransport
    guard: Guard


Make: TypeAlias = Callable[[BackendOrder, Ways], BackendLink]


def line(order: BackendOrder, ways: Ways) -> BackendLink:
    """Raises UnknownKindError."""
    make = KINDS.get(order.kind)
    if make is None:
        raise UnknownKindError(order.kind)
    return make(order, ways)


def _comfyui(order: BackendOrder, ways: Ways) -> BackendLink:
    address = Address(order.url, order.header, order.value)
    if order.guarded:  # an account says where it is
        return ComfyUIBackend(order.name, address, ways.guarded, ways.guard)
    return ComfyUIBackend(order.name, address, ways.plain)


def _runpod(order: BackendOrder, ways: Ways) -> BackendLink:
    endpoint = Endpoint(url=order.url, key=order.value.removeprefix("Bearer "))
    asked = ways.guarded if order.guarded else ways.plain
    return RunPodBackend(order.name, Client(endpoint, asked, ways.guarded))


KINDS: Mapping[str, Make] = {Kind.COMFYUI: _comfyui, Kind.RUNPOD: _runpod}
