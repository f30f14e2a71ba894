"""What an editor uploads, pictures and masks above all: inputs of the account, under the names that ComfyUI gives."""

import asyncio
from hashlib import sha256
from typing import IO

from msgspec import Struct

from adapters.http.files import one_chunk
from adapters.http.gateway.call import Answer, Call, json, read
from adapters.http.gateway.files import NO_FILE, body_of, find, viewed
from adapters.http.gateway.forms import Form, form
from adapters.http.inputs import MAX_BYTES, MAX_INPUTS, MAX_KEPT_BYTES
from adapters.http.problems import Malformed, TooLarge
from commands.inputs import StoreInput
from commands.named_inputs import NamedInput, StoreNamedInput
from domain.file_name import INPUT, OUTPUT, FileName, checked_name, checked_type, folder
from domain.ids import Digest
from domain.refusals import Conflict, FieldError, Invalid, NotAllowed, NotFound
from projections import inputs
from services.ports.picturing import Reencoded
from workflows.media import media_type_of

NO_PICTURE = "The form has no file called `image`."
YES = ("true", "1")  # as ComfyUI reads it, and nothing else


class Uploaded(Struct, frozen=True):
    name: str
    subfolder: str
    type: str


class Original(Struct, frozen=True):
    filename: str
    subfolder: str = ""
    type: str = OUTPUT


async def upload_image(call: Call) -> Answer:
    """A picture is kept as PNG, upright, with its transparency, and without anything else that its file told.

    Sound, films and shapes are kept as they are, where name and content say the same.
    """
    async with form(call, "image", MAX_BYTES) as sent:
        name, file = _named(sent)
        if (kind := await asyncio.to_thread(media_type_of, name.filename, file)) is not None:
            return await _kept(call, name, sent, Reencoded(await asyncio.to_thread(file.read), kind, 0, 0))
        return await _kept(call, name, sent, await call.parts.pictures.reencode(file))


async def upload_mask(call: Call) -> Answer:
    """The picture that `original_ref` names, with the transparency of this one."""
    async with form(call, "image", MAX_BYTES) as sent:
        name, file = _named(sent)
        original = read(sent.fields.get("original_ref", "").encode(), Original)
        found = await find(call, viewed(original.filename, original.type, original.subfolder))
        if found is None:
            raise NotFound(NO_FILE)
        masked = await call.parts.pictures.masked(await body_of(call, found.digest), file)
        return await _kept(call, name, sent, masked)


def _named(sent: Form) -> tuple[FileName, IO[bytes]]:
    """Raises Malformed, Invalid."""
    if sent.file is None:
        raise Malformed(NO_PICTURE)
    if "/" in sent.filename or "\\" in sent.filename:
        raise Malformed("The name of the file must have no folders in it: they are sent as `subfolder`.")
    try:
        subfolder = folder(sent.fields.get("subfolder", ""))
    except NotAllowed as error:
        raise Invalid(str(error), FieldError("subfolder", str(error))) from None
    type = checked_type(sent.fields.get("type") or INPUT)
    return FileName(checked_name(sent.filename), subfolder, type), sent.file


async def _kept(call: Call, name: FileName, sent: Form, picture: Reencoded) -> Answer:
    """Raises Conflict, TooLarge."""
    account, parts = call.caller.account, call.parts
    if await (await call.reader()).ask(inputs.count, account) >= MAX_INPUTS:
        raise Conflict(f"An account keeps {MAX_INPUTS} inputs at most. Delete some first.")
    if len(picture.body) > MAX_KEPT_BYTES:
        raise TooLarge("Encoded anew, the picture is too large.")
    digest = Digest((await asyncio.to_thread(sha256, picture.body)).hexdigest())
    await parts.objects.put(digest, one_chunk(picture.body), len(picture.body))
    stored = StoreInput(
        by=account,
        digest=digest,
        name=name.filename,
        media_type=picture.media_type,
        size_bytes=len(picture.body),
        width=picture.width,
        height=picture.height,
    )
    wish = StoreNamedInput(name=name, stored=stored, overwrite=sent.fields.get("overwrite") in YES)
    kept: NamedInput = await parts.commands.run(wish, call.context())
    return json(Uploaded(kept.name.filename, kept.name.subfolder, kept.name.type))
