"""What the executor itself has to say about an attempt that came to nothing."""

from domain.outcome import Failure, FailureKind

UNREACHABLE = Failure(
    FailureKind.TRANSPORT, "The backend could not be reached any more.", advice="The run is tried again."
)
FORGOTTEN = Failure(
    FailureKind.TRANSPORT, "The backend was restarted and forgot the run.", advice="The run is tried again."
)
LOST = Failure(
    FailureKind.LOST,
    "The executor was restarted and the backend no longer knows the run.",
    advice="The run is tried again.",
)
INTERRUPTED = Failure(
    FailureKind.LOST, "Somebody stopped the run at the backend.", advice="The run is tried again."
)
UNFETCHED = Failure(
    FailureKind.TRANSPORT,
    "The graph could not be fetched from the object store.",
    advice="The run is tried again.",
)
NO_GRAPH = Failure(FailureKind.VALIDATION, "The stored graph cannot be read.")
UNKNOWN_BACKEND = Failure(
    FailureKind.LOST, "The executor no longer drives this backend.", advice="The run is tried again."
)
LEFT = Failure(
    FailureKind.LOST, "The backend was taken away while it had the run.", advice="The run is tried again."
)
FAULT = Failure(
    FailureKind.LOST, "The executor could not go on with the run.", advice="The run is tried again."
)

SPOOL_FULL = Failure(
    FailureKind.TRANSPORT,
    "The executor's disk is full.",
    advice="The run is tried again, perhaps elsewhere. Make room in the executor's data folder.",
)


def input_gone() -> Failure:
    return Failure(
        FailureKind.VALIDATION,
        "A picture that the graph loads is not there any more.",
        advice="Upload it again and submit a new run.",
    )


def no_loras_here(backend: str) -> Failure:
    return Failure(
        FailureKind.TRANSPORT,
        f"The backend {backend} takes no LoRAs: its executor does not see its models folder.",
        advice="The run is tried again, as another backend may take them. Set COMFYPLUS_MODELS_DIR for this executor.",
    )


def lora_gone(name: str) -> Failure:
    return Failure(
        FailureKind.TRANSPORT,
        f"The LoRA {name} could not be fetched from the object store.",
        advice="The run is tried again.",
    )


def no_room_for_lora(name: str) -> Failure:
    return Failure(
        FailureKind.TRANSPORT,
        f"The backend's disk has no room for the LoRA {name}.",
        advice="The run is tried again, perhaps elsewhere. Give COMFYPLUS_LORA_CACHE_BYTES or the disk more room.",
    )


def lora_not_written(name: str) -> Failure:
    return Failure(
        FailureKind.TRANSPORT,
        f"The LoRA {name} could not be written into the backend's models folder.",
        advice="The run is tried again, perhaps elsewhere. Look at the folder's rights and its disk.",
    )


def too_long(timeout_s: int, node: str | None, node_class: str | None) -> Failure:
    return Failure(
        FailureKind.TIMEOUT,
        f"The run took longer than its limit of {timeout_s} seconds.",
        node,
        node_class,
        "Raise the limit, or use a smaller picture or fewer steps.",
    )


def silent(silence_s: float, node: str | None, node_class: str | None) -> Failure:
    return Failure(
        FailureKind.TIMEOUT,
        f"The node gave no sign of life for {silence_s:.0f} seconds.",
        node,
        node_class,
        "It may hang; try it in ComfyUI's own editor.",
    )


def missing_output(node: str, reason: str) -> Failure:
    return Failure(
        FailureKind.OUTPUT,
        f"An output of the run could not be copied. {reason}",
        node,
        None,
        "Run it again; if it happens again, save the result under another name.",
    )


def too_many_outputs(limit: int) -> Failure:
    return Failure(
        FailureKind.OUTPUT,
        f"The run made more than {limit} files.",
        advice="Use a smaller batch, or save a film instead of its frames.",
    )
