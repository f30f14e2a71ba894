"""How an executor behaves: pauses, limits and patience. Tests use short ones."""

from msgspec import Struct


class ExecutorSettings(Struct, frozen=True, kw_only=True):
    slots: int = 2
    """Prompts inside one backend: one that runs and one ahead."""
    finishing: int = 16
    """Attempts whose outputs are being copied and reported at the same time, over all backends."""
    beat_s: float = 3.0
    claim_poll_s: float = 2.0
    """Between two claims while there is nothing to do; a wake-up comes sooner."""
    look_s: float = 1.0
    """Between two looks at a backend, beside what its signals tell."""
    health_s: float = 30.0
    flaps: int = 3
    """A backend that was lost so often within `flap_window_s` has to stay well before it is given work again."""
    flap_s: float = 15.0
    """For so long, and twice as long with each further loss."""
    flap_window_s: float = 600.0
    inventory_s: float = 300.0
    """Between two looks at what a backend has."""
    started_after_s: float = 0.1
    """A run that is shorter than this is reported at once, as one whole."""
    ahead_s: float = 0.05
    """So long after a node has made files, they are brought home; what has ended by then is reported as one whole."""
    advance_s: float = 0.1
    preview_s: float = 0.25
    silence_s: float = 600.0
    """A node that tells nothing for so long is given up. Loading a large model takes minutes."""
    backend_patience_s: float = 30.0
    """A backend that does not answer for so long has lost its attempts."""
    retry_s: float = 2.0
    """The longest pause before an unanswered question is asked again."""
    file_limit_bytes: int = 512 << 20
    drain_s: float = 5.0
    """What runs when the executor is told to stop gets so long to end. What does not is left for its next start."""
    lora_limit_bytes: int = 50 << 30
    """Of LoRAs in one backend's folder; those unused for longest make room."""
    farewell_s: float = 5.0
    """Then what is in hand gets so long to be reported."""
