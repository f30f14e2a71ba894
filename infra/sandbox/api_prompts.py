"""The routes around prompts: /prompt, /queue, /interrupt, /free, /history."""

from typing import Any
from uuid import uuid4

from msgspec import DecodeError

from infra.sandbox.http import BROKEN, Request, Response, ok
from infra.sandbox.queue import AmbiguousOrderError
from infra.sandbox.state import Sandbox
from workflows.protocol.prompt import GraphJson, PromptAccepted
from workflows.protocol.queue import QueuedPrompt, QueueLength, QueueStatus
from workflows.protocol.validation import Valid, no_prompt, validate

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
    named = sandbox.nodes.keys() & {_class_of(told) for told in graph.values()}
    classes = {name: sandbox.nodes[name].described(sandbox.folders) for name in named}
    targets = sent.get("partial_execution_targets")
    validated = validate(graph, classes, targets, _found_wrong(sandbox, graph))
    if not isinstance(validated, Valid):
        return ok(validated, 400)
    extra: dict[str, Any] = sent.get("extra_data", {})
    if "client_id" in sent:
        extra["client_id"] = sent["client_id"]
    sandbox.queue.put(QueuedPrompt(number, prompt_id, graph, extra, validated.outputs))
    return ok(PromptAccepted(prompt_id=prompt_id, number=number, node_errors=validated.node_errors))


def _found_wrong(sandbox: Sandbox, graph: GraphJson) -> dict[tuple[str, str], str]:
    """What nodes that look at their inputs themselves say of them."""
    wrong = {}
    for id, told in graph.items():
        node = sandbox.nodes.get(_class_of(told))
        if node is None or node.check is None:
            continue
        name, check = node.check
        inputs = told.get("inputs")
        value = inputs.get(name, []) if isinstance(inputs, dict) else []
        if not isinstance(value, list) and (reason := check(sandbox.folders, value)) is not None:
            wrong[id, name] = reason
    return wrong


def _class_of(told: Any) -> str:
    name = told.get("class_type") if isinstance(told, dict) else None
    return name if isinstance(name, str) else ""


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
