"""GET /history and /history/{id}: what a prompt came to. `{}` means unknown, pending, running or lost."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from msgspec import Struct, ValidationError, convert, json

from workflows.protocol.queue import QueuedId, QueuedPrompt

NodeOutput: TypeAlias = dict[str, Any]
"""What a node showed: `images`, `text`, or anything a custom node puts there."""


class OutputFile(Struct, frozen=True):
    """One file as an output names it; GET /view wants all three. `type` is output, temp or input."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class NodeMeta(Struct, frozen=True, kw_only=True):
    """Which node of the sent graph an output belongs to: expanded nodes have ids of their own."""

    node_id: str
    display_node: str | None = None
    parent_node: str | None = None
    real_node_id: str | None = None


class HistoryStatus(Struct, frozen=True, kw_only=True):
    """`status_str` is success or error; an interrupted prompt is an error whose last message says so."""

    status_str: str = ""
    completed: bool = False
    messages: tuple[tuple[str, dict[str, Any]], ...] = ()


class HistoryEntry(Struct, frozen=True, kw_only=True):
    prompt: QueuedPrompt
    outputs: dict[str, NodeOutput] = {}
    status: HistoryStatus | None = None
    meta: dict[str, NodeMeta] = {}


class HistoryResult(Struct, frozen=True, kw_only=True):
    """A HistoryEntry without its graph, which is skipped without being built."""

    prompt: QueuedId
    outputs: dict[str, NodeOutput] = {}
    status: HistoryStatus | None = None
    meta: dict[str, NodeMeta] = {}


_history = json.Decoder(dict[str, HistoryEntry])
_results = json.Decoder(dict[str, HistoryResult])


def decode_history(body: bytes) -> dict[str, HistoryEntry]:
    """GET /history or /history/{id}. Raises msgspec.DecodeError (also for a wrong shape)."""
    return _history.decode(body)


def decode_results(body: bytes) -> dict[str, HistoryResult]:
    """The same without the graphs. Raises msgspec.DecodeError (also for a wrong shape)."""
    return _results.decode(body)


def ending(status: HistoryStatus) -> tuple[str, dict[str, Any]]:
    """The last message with its details: `execution_success`, `_error` or `_interrupted`."""
    return status.messages[-1] if status.messages else ("", {})


def output_files(output: NodeOutput) -> Iterator[tuple[str, OutputFile]]:
    """The files a node reports, each with the kind it stands under (`images`, `gifs`, `audio` ...)."""
    for kind, reported in output.items():
        for entry in reported if isinstance(reported, list) else ():
            if isinstance(entry, dict) and "filename" in entry:
                try:
                    yield kind, convert(entry, OutputFile)
                except ValidationError:
                    continue  # a custom node's own shape is not a file we can fetch
