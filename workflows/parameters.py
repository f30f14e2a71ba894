"""What a picture is made from, typed and bounded: the form of /generate, from which a graph is built."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from domain.refusals import FieldError, Invalid
from workflows.reading import read

RANDOM = -1
MAX_SEED = 2**64 - 1
MAX_PIXELS = 64 * 1024 * 1024  # of all pictures of one run: four of 4096 x 4096
MAX_LORAS = 20
NOT_POSSIBLE = "These parameters cannot be used."

Text: TypeAlias = Annotated[str, Meta(max_length=20_000)]
Strength: TypeAlias = Annotated[float, Meta(ge=-10, le=10)]
Side: TypeAlias = Annotated[int, Meta(ge=16, le=16_384, description="Pixels, a multiple of 8.")]
Choice: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.+-]{1,64}$")]


class Lora(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One in the chain. `strength_clip` left out: as `strength_model`."""

    name: Annotated[str, Meta(min_length=1, max_length=255, examples=["ink.safetensors"])]
    strength_model: Strength = 1.0
    strength_clip: Strength | None = None


class Parameters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """With an `image` it is made from that one; with a `mask` too, only where the mask is white."""

    checkpoint: Annotated[str, Meta(min_length=1, max_length=255, examples=["sandbox.safetensors"])]
    prompt: Annotated[str, Meta(max_length=20_000, examples=["a fox in the snow"])]
    negative_prompt: Text = ""
    loras: Annotated[tuple[Lora, ...], Meta(max_length=MAX_LORAS)] = ()
    width: Annotated[Side | None, Meta(description="Left out: 512, or the image's.")] = None
    height: Annotated[Side | None, Meta(description="Left out: 512, or the image's.")] = None
    batch_size: Annotated[int, Meta(ge=1, le=64, description="Pictures of one run.")] = 1
    seed: Annotated[int, Meta(description="-1: drawn for this run, and recorded.", examples=[-1])] = RANDOM
    steps: Annotated[int, Meta(ge=1, le=1_000)] = 20
    cfg: Annotated[float, Meta(ge=0, le=100)] = 7.0
    sampler_name: Choice = "euler"
    scheduler: Choice = "normal"
    denoise: Annotated[float, Meta(ge=0, le=1)] | None = None
    image: Annotated[str, Meta(description="The id or the digest of an uploaded input.")] | None = None
    mask: Annotated[str, Meta(description="As `image`; white is made anew.")] | None = None
    grow_mask: Annotated[int, Meta(ge=0, le=64, description="Pixels.")] = 6
    filename_prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_. -]{1,64}$")] = "ComfyUI"


NAMES = tuple(field.name for field in msgspec.structs.fields(Parameters))


def read_parameters(values: Mapping[str, Any]) -> Parameters:
    """From a decoded JSON object. Raises Invalid."""
    parameters = read(dict(values), Parameters)
    check(parameters)
    return parameters


def changed(parameters: Parameters, changes: Mapping[str, Any]) -> Parameters:
    """The same with other values. Raises Invalid."""
    return read_parameters(as_values(parameters) | dict(changes))


def as_values(parameters: Parameters) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(parameters)
    return values


def seeded(parameters: Parameters, seed: int) -> Parameters:
    """With the seed that was drawn, where one had to be."""
    return replace(parameters, seed=seed) if parameters.seed == RANDOM else parameters


def check(parameters: Parameters) -> None:
    """What the bounds of single fields do not say. Raises Invalid with every error."""
    if found := tuple(_faults(parameters)):
        raise Invalid(NOT_POSSIBLE, *found)


def _faults(parameters: Parameters) -> Iterator[FieldError]:
    names = [("checkpoint", parameters.checkpoint)]
    names += [(f"loras[{place}].name", lora.name) for place, lora in enumerate(parameters.loras)]
    for field, name in names:
        if not name.isprintable() or ".." in name or name.startswith(("/", "\\")):
            yield FieldError(field, "It must be the name of a model, without control characters or `..`.")
    for field in ("sampler_name", "scheduler", "filename_prefix"):
        if not getattr(parameters, field).isprintable():  # a pattern lets a line end through
            yield FieldError(field, "It must not have control characters.")
    for field, side in (("width", parameters.width), ("height", parameters.height)):
        if side is not None and side % 8:
            yield FieldError(field, "It must be a multiple of 8.")
    pixels = (parameters.width or 512) * (parameters.height or 512) * parameters.batch_size
    if pixels > MAX_PIXELS:
        yield FieldError("width", f"All pictures together may have {MAX_PIXELS} pixels at most.")
    if not RANDOM <= parameters.seed <= MAX_SEED:
        yield FieldError("seed", f"It must be -1, for any, or 0 to {MAX_SEED}.")
    if parameters.mask is not None and parameters.image is None:
        yield FieldError("mask", "A mask belongs to an image.")
    if parameters.image is not None and (parameters.width is None) != (parameters.height is None):
        missing = "width" if parameters.width is None else "height"
        yield FieldError(missing, "Give both width and height, or neither to keep the image's size.")
