"""POST /prompt: a run of the one who asks, queued once it is answered; its refusals are ComfyUI's own."""

import math
from typing import Any
from uuid import uuid4

from msgspec import Struct, field

from adapters.http.gateway.call import Answer, Call, json, read
from adapters.http.gateway.refusals import told
from commands.prompting import SubmitPrompt
from workflows.protocol.prompt import PromptAccepted

NO_PROMPT = "No prompt provided"


class PromptWish(Struct, frozen=True):
    """As clients send it; what they add of their own is passed over."""

    prompt: Any = None
    client_id: str | int | None = None
    prompt_id: str | int | None = None
    number: float | None = None
    front: bool = False
    extra_data: dict[str, Any] | None = field(default=None)
    partial_execution_targets: list[str] | None = None


async def submit(call: Call) -> Answer:
    wish = read(await call.body(call.parts.max_body_bytes), PromptWish)
    if wish.prompt is None:
        return told(400, "no_prompt", NO_PROMPT, NO_PROMPT)
    if wish.number is not None and not math.isfinite(wish.number):
        return told(400, "invalid_prompt", "number must be a number that can be compared.")
    submitted = await call.parts.commands.run(
        SubmitPrompt(
            by=call.caller.account,
            id=str(uuid4()) if wish.prompt_id is None else str(wish.prompt_id),
            client="" if wish.client_id is None else str(wish.client_id),
            sent=wish.prompt,
            graph=wish.prompt,
            number=wish.number,
            front=wish.front,
            extra=wish.extra_data or {},
        ),
        call.context(),
    )
    number = int(submitted.number) if submitted.number.is_integer() else submitted.number
    return json(PromptAccepted(prompt_id=submitted.id, number=number))
