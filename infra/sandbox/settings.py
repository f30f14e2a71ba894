"""How the sandbox is started, and what it can be told to do wrong."""

from pathlib import Path

from msgspec import Struct


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches for misbehaviour. Paths are written without `/api`, as `/history` or `POST /prompt`.

    They hold for the path and everything below it; a node is named by its class.
    """

    node_time_s: float = 0.0
    """Every node that is executed takes this much longer; interruptible."""
    slow_nodes: tuple[str, ...] = ()
    """Only these nodes take `node_time_s` longer; empty: all."""
    crash_at_prompt: int = 0
    """The process dies as the n-th prompt since its start begins to run."""
    crash_at_node: str = ""
    """The process dies as this node begins to run."""
    crash_before_history: bool = False
    """The process dies after a prompt's files are written and before its history entry exists."""
    drop_sockets_at: str = ""
    """Every WebSocket is cut, without a close frame, after a message of this type was sent."""
    drop_sockets_times: int = 1
    """How often that happens."""
    send_twice: bool = False
    """Every WebSocket message is sent twice."""
    deaf: bool = False
    """WebSockets open and greet, then say nothing more."""
    garbage_paths: tuple[str, ...] = ()
    """These paths answer 200 with something that is not JSON, after having acted."""
    refuse_paths: tuple[str, ...] = ()
    """These paths answer 500 without acting."""
    hang_paths: tuple[str, ...] = ()
    """These paths never answer and do not act."""
    lose_answer_paths: tuple[str, ...] = ()
    """These paths act, then cut the connection in place of an answer."""
    history_delay_s: float = 0.0
    """The history entry appears this long after `execution_success`."""
    out_of_memory_at: str = ""
    """This node fails for want of memory."""


class SandboxSettings(Struct, frozen=True, kw_only=True):
    """`directory` gets the folders input, output, temp and models. Port 0: a free one, told in `port_file`."""

    directory: Path
    host: str = "127.0.0.1"
    port: int = 8188
    port_file: Path | None = None
    die_with_parent: bool = False
    checkpoints: tuple[str, ...] = ("sandbox.safetensors",)
    preview_every: int = 1
    """A sampler shows a preview every n steps; 0: never."""
    faults: Faults = Faults()
