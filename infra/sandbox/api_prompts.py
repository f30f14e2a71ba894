"""The routes around prompts: /prompt, /queue, /interrupt, /free, /history."""

from typing import Any
from uuid import uuid4

from msgspec import DecodeError

from infra.sandbox.http import BROKEN, Request, Response, ok
from infra.sandbox.queue import AmbiguousOrderError
from infra.sandbox.state import Sandbox
from infra.sandbox.validation import Valid, no_prompt, validate
from workflows.protocol.prompt import PromptAccepted
from workflows.protocol.queue import QueuedPrompt, QueueLength, QueueStatus

DONE = Response()


def get_prompt(sandbox: Sandbox, request: Request) -> Response:
    return ok(QueueStatus(QueueLength(sandbox.queue.remaining())))


def post_prompt(sandbox: Sandbox, request: Request) -> Response:
    """What the original trips over (malformed JSON, a null prompt, a number that is none) is a 500 there and here."""
    sent = request.json()
    number: float = float(sent["number"]) if "number" in sent else sandbox.queue.next_number()
    if "number" not in sent and isinstance(sent, dict) and sent.get("front"):
        number = -number
    if not isinstance(sent, dict) or "prompt" not in sent:
        return ok(no_prompt(), 400)
    graph: Any = sent["prompt"] if sent["prompt"] != [] else {}
    if not isinstance(graph, dict):
        return BROKEN
    prompt_id = str(sent.get("prompt_id", uuid4()))
    validated = validate(graph, sandbox.nodes, sandbox.folders, sent.get("partial_execution_targets"))
    if not isinstance(validated, Valid):
        return ok(validated, 400)
    extra: dict[str, Any] = sent.get("extra_data", {})
    if "client_id" in sent:
        extra["client_id"] = sent["client_id"]
    sandbox.queue.put(QueuedPrompt(number, prompt_id, graph, extra, validated.outputs))
    return ok(PromptAccepted(prompt_id=prompt_id, number=number, node_errors=validated.node_errors))


def get_queue(sandbox: Sandbox, request: Request) -> Response:
    return ok(sandbox.queue.shown())


def post_queue(sandbox: Sandbox, request: Request) -> Response:
    sent = request.json()
    if sent.get("clear"):
        sandbox.queue.clear()
    for prompt_id in sent.get("delete", ()):
        sandbox.queue.remove(prompt_id)
    return DONE


def post_interrupt(sandbox: Sandbox, request: Request) -> Response:
    """Without a readable prompt id, whatever runs is stopped."""
    try:
        sent = request.json()
    except DecodeError:
        sent = {}
    prompt_id = sent.get("prompt_id")
    if not prompt_id or sandbox.queue.runs(prompt_id):
        sandbox.engine.interrupted.set()
    return DONE


def post_free(sandbox: Sandbox, request: Request) -> Response:
    sent = request.json()
    sandbox.queue.free(
        unload_models=bool(sent.get("unload_models")), free_memory=bool(sent.get("free_memory"))
    )
    return DONE


def get_history(sandbox: Sandbox, request: Request) -> Response:
    most = int(request.query["max_items"]) if "max_items" in request.query else None
    return ok(sandbox.queue.histories(most, int(request.query.get("offset", -1))))


def get_history_of(sandbox: Sandbox, request: Request) -> Response:
    return ok(sandbox.queue.history(request.parts[1]))


def post_history(sandbox: Sandbox, request: Request) -> Response:
    sent = request.json()
    if sent.get("clear"):
        sandbox.queue.forget_all()
    for prompt_id in sent.get("delete", ()):
        sandbox.queue.forget(prompt_id)
    return DONE


TRIPPED = (
    DecodeError,
    RecursionError,
    AmbiguousOrderError,
    TypeError,
    ValueError,
    KeyError,
    AttributeError,
    OSError,
)
"""What a route may raise: the original answers a plain 500."""
