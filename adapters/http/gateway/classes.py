"""Node classes as the caller may use them: every backend's that serves it, with its own files among the choices.

`classes_of` is for whoever judges a graph; `object_info` tells them to clients.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from adapters.http.gateway.call import JSON, Answer, Call, json
from adapters.http.reads import Reader
from commands.known_backends import Surroundings
from commands.known_classes import catalogue, offer
from domain.ids import AccountId
from projections import inputs, lora_shelf
from workflows.class_catalogue import Catalogue, Choices, Filled
from workflows.descriptions import INPUTS
from workflows.models import LORA_FOLDER
from workflows.offers import Offer

MAX_LISTED = 5_000  # files of one kind; nobody looks through more
NOT_MODIFIED = 304
SHAPES = "3d"
KINDS = {"image": ("image/",), "video": ("video/",), "audio": ("audio/", "video/"), "file": ("model/",)}
"""What of an account's uploads a class offers, by the media types."""


async def classes_of(call: Call, names: Iterable[str] | None = None) -> Filled:
    """`names`: only these will be looked at; what they offer is all that is asked for.

    Raises NotYet, LogUnavailableError.
    """
    view = await call.parts.commands.needs.backends.now()
    known = await catalogue(call.caller.account, view, call.parts.commands.needs)
    lists = known.lists if names is None else known.lists_of(names)
    offered = await offered_to(call, view, lists)
    return Filled(known, Filling(offered))


async def object_info(call: Call) -> Answer:
    """GET /object_info."""
    known, fill = await _everything(call)
    etag = _etag(known, fill)
    headers = ((b"etag", etag), (b"cache-control", b"private, no-cache"))
    if etag in call.header("if-none-match").encode():
        return Answer(status=NOT_MODIFIED, headers=headers)
    return Answer(body=known.all(fill), media_type=JSON, headers=headers)


async def object_info_of(call: Call) -> Answer:
    """GET /object_info/{class}. Empty for one that nobody knows."""
    name = call.names["class"]
    found = await classes_of(call, [name])
    return json({name: found[name]} if name in found else {})


async def offered_to(call: Call, view: Surroundings, lists: Iterable[Choices]) -> Offer:
    """What the caller is offered, as far as these lists ask for it."""
    needs, account = call.parts.commands.needs, call.caller.account
    asked = {each.folder for each in lists if each.whole}
    found = await offer(account, view, needs)
    if wanted := [kind for kind in KINDS if f"{INPUTS}{kind}" in asked]:
        reader = await call.reader()
        named = {kind: await _uploaded(reader, account, kind) for kind in wanted}
        found = msgspec.structs.replace(found, inputs=named)
    if LORA_FOLDER in asked and found.takes_loras:
        reader = await call.reader()
        others = await reader.ask(lora_shelf.others, account, MAX_LISTED)
        found = msgspec.structs.replace(found, shared_loras=(*found.shared_loras, *others))
    return found


async def _uploaded(reader: Reader, account: AccountId, kind: str) -> tuple[str, ...]:
    """As nodes name them: shapes are looked for in a folder of their own."""
    folder = SHAPES if kind == "file" else ""
    asked = {"subfolder": folder, "kinds": KINDS[kind]}
    names: list[str] = await reader.ask(inputs.named, account, MAX_LISTED, **asked)
    return tuple(sorted(f"{folder}/{name}" if folder else name for name in names))


class Filling:
    """Writes each list once."""

    def __init__(self, offered: Offer) -> None:
        self.offered = offered
        self._written: dict[Choices, bytes] = {}

    def __call__(self, choices: Choices) -> bytes:
        if choices not in self._written:
            self._written[choices] = msgspec.json.encode(self.offered.choices(choices))
        return self._written[choices]


async def _everything(call: Call) -> tuple[Catalogue, Filling]:
    view = await call.parts.commands.needs.backends.now()
    known = await catalogue(call.caller.account, view, call.parts.commands.needs)
    return known, Filling(await offered_to(call, view, known.lists))


def _etag(known: Catalogue, fill: Filling) -> bytes:
    seen = sha256(known.digest.encode())
    for each in known.lists:
        seen.update(fill(each))
    return f'"{seen.hexdigest()[:32]}"'.encode()
