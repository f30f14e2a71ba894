"""POST /prompt: what is sent and how ComfyUI answers. Unknown fields are ignored everywhere."""

from typing import Any, TypeAlias

from msgspec import Struct, json

GraphJson: TypeAlias = dict[str, Any]
"""An API graph as it travels: node id -> {"class_type", "inputs", "_meta"?}. Checked elsewhere."""


class PromptRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A graph to be queued. ComfyUI does not check that `prompt_id` is unique; leave `number` out."""

    prompt: GraphJson
    client_id: str | None = None
    prompt_id: str | None = None
    number: float | None = None
    front: bool = False
    extra_data: dict[str, Any] = {}
    partial_execution_targets: tuple[str, ...] | None = None


class PromptProblem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, with the graph or a node. May carry server paths and others' file names."""

    type: str
    message: str = ""
    details: str = ""
    extra_info: dict[str, Any] = {}


class NodeProblems(Struct, frozen=True, kw_only=True):
    errors: tuple[PromptProblem, ...] = ()
    dependent_outputs: tuple[str, ...] = ()
    class_type: str = ""


class PromptAccepted(Struct, frozen=True, kw_only=True):
    """200. Non-empty `node_errors` mean: the outputs that depend on these nodes are silently left out."""

    prompt_id: str
    number: float | int = 0
    node_errors: dict[str, NodeProblems] = {}


class PromptRefused(Struct, frozen=True, kw_only=True):
    """400. The nodes' own problems are in `node_errors`; for a cycle nothing says that it is one."""

    error: PromptProblem
    node_errors: dict[str, NodeProblems] = {}


_accepted = json.Decoder(PromptAccepted)
_refused = json.Decoder(PromptRefused)


def decode_accepted(body: bytes) -> PromptAccepted:
    """The answer to a queued prompt. Raises msgspec.DecodeError (also for a wrong shape)."""
    return _accepted.decode(body)


def decode_refused(body: bytes) -> PromptRefused:
    """The answer to a refused prompt. Raises msgspec.DecodeError (also for a wrong shape)."""
    return _refused.decode(body)
