"""GET and POST /queue, GET /prompt, POST /interrupt and /free."""

from typing import Any

from msgspec import Struct, json

from workflows.protocol.prompt import GraphJson


class QueuedPrompt(Struct, frozen=True, array_like=True):
    """`[number, prompt_id, graph, extra_data, [output ids]]`; newer servers append more, which is ignored."""

    number: float | int
    prompt_id: str
    graph: GraphJson = {}
    extra_data: dict[str, Any] = {}
    outputs: tuple[str, ...] = ()


class Queue(Struct, frozen=True):
    """`queue_pending` comes in heap order: `in_order` gives the order of running."""

    queue_running: tuple[QueuedPrompt, ...] = ()
    queue_pending: tuple[QueuedPrompt, ...] = ()


class QueuedId(Struct, frozen=True, array_like=True):
    """The head of a QueuedPrompt: the graphs behind it are skipped without being built."""

    number: float | int
    prompt_id: str


class QueueIds(Struct, frozen=True):
    """Who runs and who waits, read from the same answer as Queue at a fraction of the cost."""

    queue_running: tuple[QueuedId, ...] = ()
    queue_pending: tuple[QueuedId, ...] = ()


class QueueLength(Struct, frozen=True):
    """`queue_remaining` counts the running prompt as well."""

    queue_remaining: int = 0


class QueueStatus(Struct, frozen=True):
    exec_info: QueueLength = QueueLength()


class QueueChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /queue and POST /history. Unknown ids, and in the queue running ones, are ignored in silence."""

    delete: tuple[str, ...] = ()
    clear: bool = False


class Interrupt(Struct, frozen=True):
    """POST /interrupt, never without an id: that would stop whoever runs."""

    prompt_id: str


class Free(Struct, frozen=True, kw_only=True):
    """POST /free, acted on between prompts; `free_memory` empties the cache of results too."""

    unload_models: bool = False
    free_memory: bool = False


_queue = json.Decoder(Queue)
_ids = json.Decoder(QueueIds)
_status = json.Decoder(QueueStatus)


def decode_queue(body: bytes) -> Queue:
    """GET /queue. Raises msgspec.DecodeError (also for a wrong shape)."""
    return _queue.decode(body)


def decode_queue_ids(body: bytes) -> QueueIds:
    """GET /queue without the graphs. Raises msgspec.DecodeError (also for a wrong shape)."""
    return _ids.decode(body)


def decode_status(body: bytes) -> QueueStatus:
    """GET /prompt. Raises msgspec.DecodeError (also for a wrong shape)."""
    return _status.decode(body)


def in_order(pending: tuple[QueuedPrompt, ...]) -> list[QueuedPrompt]:
    """The order of running: by number, ties by prompt id."""
    return sorted(pending, key=lambda waiting: (waiting.number, waiting.prompt_id))
