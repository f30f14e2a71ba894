"""The text messages of ComfyUI's WebSocket, told apart by `type`.

Custom nodes send types and shapes of their own: what is not known becomes Unknown, never an error.
"""

from typing import Any, TypeAlias

from msgspec import DecodeError, Struct, field, json

from workflows.protocol.history import NodeOutput
from workflows.protocol.queue import QueueStatus

FEATURE_PREVIEW_METADATA = "supports_preview_metadata"


class StatusBody(Struct, frozen=True, omit_defaults=True):
    """`sid` stands only in the first message of a connection: the client id as the server took it."""

    status: QueueStatus
    sid: str | None = None


class PromptBody(Struct, frozen=True):
    prompt_id: str
    timestamp: int = 0


class CachedBody(Struct, frozen=True, kw_only=True):
    nodes: tuple[str, ...]
    prompt_id: str
    timestamp: int = 0


class ExecutingBody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`node` null: the prompt is over and in the history. After a reconnect `prompt_id` is missing."""

    node: str | None
    display_node: str | None = None
    prompt_id: str | None = None


class ExecutedBody(Struct, frozen=True, kw_only=True):
    node: str
    display_node: str | None = None
    output: NodeOutput | None = None
    prompt_id: str


class ProgressBody(Struct, frozen=True, kw_only=True):
    value: float | int
    max: float | int
    prompt_id: str | None = None
    node: str | None = None


class NodeState(Struct, frozen=True, kw_only=True):
    """`state` is running or finished."""

    value: float | int
    max: float | int
    state: str
    node_id: str
    prompt_id: str
    display_node_id: str | None = None
    parent_node_id: str | None = None
    real_node_id: str | None = None


class ProgressStateBody(Struct, frozen=True, kw_only=True):
    """All nodes so far, every time again."""

    prompt_id: str
    nodes: dict[str, NodeState]


class ErrorBody(Struct, frozen=True, kw_only=True):
    """Traceback, inputs and message may carry server paths: not for users' eyes."""

    prompt_id: str
    node_id: str | None = None
    node_type: str | None = None
    executed: tuple[str, ...] = ()
    exception_message: str = ""
    exception_type: str = ""
    traceback: tuple[str, ...] = ()
    current_inputs: dict[str, Any] = {}
    current_outputs: tuple[str, ...] = ()
    timestamp: int = 0


class InterruptedBody(Struct, frozen=True, kw_only=True):
    prompt_id: str
    node_id: str | None = None
    node_type: str | None = None
    executed: tuple[str, ...] = ()
    timestamp: int = 0


class Status(Struct, frozen=True, tag_field="type", tag="status"):
    body: StatusBody = field(name="data")


class ExecutionStart(Struct, frozen=True, tag_field="type", tag="execution_start"):
    body: PromptBody = field(name="data")


class ExecutionCached(Struct, frozen=True, tag_field="type", tag="execution_cached"):
    body: CachedBody = field(name="data")


class Executing(Struct, frozen=True, tag_field="type", tag="executing"):
    body: ExecutingBody = field(name="data")


class Executed(Struct, frozen=True, tag_field="type", tag="executed"):
    body: ExecutedBody = field(name="data")


class Progress(Struct, frozen=True, tag_field="type", tag="progress"):
    body: ProgressBody = field(name="data")


class ProgressState(Struct, frozen=True, tag_field="type", tag="progress_state"):
    body: ProgressStateBody = field(name="data")


class ExecutionSuccess(Struct, frozen=True, tag_field="type", tag="execution_success"):
    body: PromptBody = field(name="data")


class ExecutionError(Struct, frozen=True, tag_field="type", tag="execution_error"):
    body: ErrorBody = field(name="data")


class ExecutionInterrupted(Struct, frozen=True, tag_field="type", tag="execution_interrupted"):
    body: InterruptedBody = field(name="data")


class FeatureFlags(Struct, frozen=True, tag_field="type", tag="feature_flags"):
    """Sent by the client as its very first message, and answered; later it is ignored."""

    body: dict[str, Any] = field(name="data")


class Unknown(Struct, frozen=True):
    """A type or shape that is not ours to understand; `type` is empty where there is none."""

    type: str


Message: TypeAlias = (
    Status
    | ExecutionStart
    | ExecutionCached
    | Executing
    | Executed
    | Progress
    | ProgressState
    | ExecutionSuccess
    | ExecutionError
    | ExecutionInterrupted
    | FeatureFlags
)

_messages: json.Decoder[Message] = json.Decoder(Message)
_envelope = json.Decoder(Unknown)
_encoder = json.Encoder()


def decode_message(text: str | bytes) -> Message | Unknown:
    """Never raises: what is not a message of ours is Unknown."""
    try:
        return _messages.decode(text)
    except (DecodeError, RecursionError):
        pass
    try:
        return _envelope.decode(text)
    except (DecodeError, RecursionError):
        return Unknown("")


def encode_message(message: Message) -> bytes:
    return _encoder.encode(message)
