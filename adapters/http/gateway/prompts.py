"""POST /prompt: a run of the one who asks, queued once it is answered; its refusals are ComfyUI's own."""

import math
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct, field

from adapters.http.gateway.call import Answer, Call, json, read
from adapters.http.gateway.classes import classes_of
from adapters.http.gateway.files import with_files
from adapters.http.gateway.refusals import told
from commands.named_inputs import InvalidFiles
from commands.prompting import SubmitPrompt
from domain.ids import prompt_run
from workflows.class_catalogue import Filled
from workflows.protocol.prompt import NodeProblems, PromptAccepted, PromptRefused
from workflows.protocol.validation import Valid, no_prompt, validate
from workflows.pruning import pruned

SECRETS = frozenset({"auth_token_comfy_org", "api_key_comfy_org"})
"""Of another service, for nodes that ask it: they go to the backend, and are never stored."""
MAX_SECRETS_BYTES = 16 * 1024  # kept in memory for an hour, of each prompt


class PromptWish(Struct, frozen=True):
    """As clients send it; what they add of their own is passed over."""

    prompt: Any = None
    client_id: str | int | None = None
    prompt_id: str | int | None = None
    number: float | None = None
    front: bool = False
    extra_data: dict[str, Any] | None = field(default=None)
    partial_execution_targets: list[str] | None = None


Sent: Any = PromptWish | list[Any]
"""A list has no prompt in it: ComfyUI says so."""


class Judged(Struct, frozen=True):
    """`graph`: what is to be executed, with the files of whoever asks; `errors`: why the rest of it is not."""

    graph: dict[str, Any]
    errors: dict[str, NodeProblems]


async def submit(call: Call) -> Answer:
    wish = read(await call.body(call.parts.max_body_bytes), Sent)
    if isinstance(wish, list) or wish.prompt is None:
        return json(no_prompt(), 400)
    if wish.number is not None and not math.isfinite(wish.number):
        return told(400, "invalid_prompt", "number must be a number that can be compared.")
    secrets = {name: value for name, value in (wish.extra_data or {}).items() if name in SECRETS}
    kept = msgspec.json.encode(secrets)
    if len(kept) > MAX_SECRETS_BYTES:
        return told(400, "invalid_prompt", f"Its keys may have {MAX_SECRETS_BYTES} bytes together.")
    judged = await _judged(wish, call)
    if isinstance(judged, PromptRefused):
        return json(judged, 400)
    id = str(uuid4()) if wish.prompt_id is None else str(wish.prompt_id)
    if secrets:
        account = call.caller.account
        await call.parts.confidant.keep(account, prompt_run(account, id), kept)
    submitted = await call.parts.commands.run(
        SubmitPrompt(
            by=call.caller.account,
            id=id,
            client="" if wish.client_id is None else str(wish.client_id),
            sent=wish.prompt,
            graph=judged.graph,
            number=wish.number,
            front=wish.front,
            extra=wish.extra_data or {},
        ),
        call.context(),
    )
    number = int(submitted.number) if submitted.number.is_integer() else submitted.number
    return json(PromptAccepted(prompt_id=submitted.id, number=number, node_errors=judged.errors))


async def _judged(wish: PromptWish, call: Call) -> Judged | PromptRefused:
    """As a ComfyUI judges it that has all that the pool has. While no backend has told, a prompt waits unjudged."""
    graph = wish.prompt if isinstance(wish.prompt, dict) else {}
    named = {str(node.get("class_type")) for node in graph.values() if isinstance(node, dict)}
    classes = await classes_of(call, named)
    wrong: dict[tuple[str, str], str] = {}
    found = _validated(graph, classes, wish, wrong)
    if isinstance(found, PromptRefused):
        return found
    try:
        with_own = await with_files(pruned(graph, found.outputs), call)
    except InvalidFiles as fault:
        wrong = {(each.node, each.input): f"{each.reason}: {each.name}" for each in fault.files}
        found = _validated(graph, classes, wish, wrong)
        if isinstance(found, PromptRefused):
            return found
        with_own = await with_files(pruned(graph, found.outputs), call)
    return Judged(with_own, found.node_errors)


def _validated(
    graph: dict[str, Any], classes: Filled, wish: PromptWish, wrong: dict[tuple[str, str], str]
) -> Valid | PromptRefused:
    if not len(classes):
        return Valid(tuple(graph), {})
    copy = msgspec.json.decode(msgspec.json.encode(graph))  # its literals are cast
    return validate(copy, classes, wish.partial_execution_targets, wrong)
