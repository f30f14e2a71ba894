"""What the file of a LoRA tells of itself, to its owner alone: what is shared is shared for use."""

from adapters.http.gateway.call import Answer, Call, json
from commands.ports import ObjectMissingError, Objects
from domain.ids import Digest, shelf_id
from domain.lora import SHELF, Lora, read_path
from domain.refusals import Invalid, NotFound
from workflows.safetensors import LENGTH_BYTES, header_end, read_header

NONE = "There is no such file, or it tells nothing of itself."
FIRST_BYTES = LENGTH_BYTES + 8


async def view_metadata(call: Call) -> Answer:
    """The header's `__metadata__`. 404 for every other folder than `loras`: those files are not in our hands."""
    lora = None
    if call.names["folder"] == "loras":
        lora = await _lora(call, call.query.get("filename", ""))
    if lora is None:
        raise NotFound(NONE)
    try:
        header = await _header(call.parts.objects, lora.content.digest)
        told = read_header(header).metadata
    except (ObjectMissingError, Invalid):
        told = {}
    if not told:
        raise NotFound(NONE)
    return json(told)


async def _lora(call: Call, name: str) -> Lora | None:
    account = call.caller.account
    shelf, _ = await call.parts.commands.needs.streams.load(SHELF, shelf_id(account))
    path = read_path(name)
    if path is None:
        return shelf.named(name)
    return next((each for each in shelf.loras if (path.owner, path.file) == (account, each.file)), None)


async def _header(objects: Objects, digest: Digest) -> bytes:
    """Raises ObjectMissingError, Invalid."""
    first = await _bytes(objects, digest, FIRST_BYTES)
    return await _bytes(objects, digest, header_end(first))


async def _bytes(objects: Objects, digest: Digest, end: int) -> bytes:
    return b"".join([piece async for piece in objects.read(digest, 0, end)])
