"""The form of a template: typed, bounded parameters, each bound to inputs of its graph's nodes."""

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Struct

MAX_PARAMETERS = 100
MAX_BINDS = 50
MAX_CHOICES = 500
MAX_TEXT = 20_000

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,49}$(?!\n)", examples=["steps"])]
Word: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,49}$(?!\n)", examples=["editing"])]
Title: TypeAlias = Annotated[str, Meta(max_length=100)]
Sentences: TypeAlias = Annotated[str, Meta(max_length=2_000)]
Scalar: TypeAlias = str | int | float


Entry: TypeAlias = Annotated[str, Meta(max_length=1_000)]
NamedLists: TypeAlias = Annotated[
    dict[Name, Annotated[tuple[Entry, ...], Meta(min_length=1, max_length=1_000)]],
    Meta(max_length=50, description="What `__name__` stands for one of, where texts are left to chance."),
]


class Kind(StrEnum):
    """What a value is. `string` is one line, `text` any number; `lora` is a chain of LoRAs, `size` two sides."""

    INT = "int"
    FLOAT = "float"
    STRING = "string"
    TEXT = "text"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    SEED = "seed"
    IMAGE = "image"
    MASK = "mask"
    LORA = "lora"
    CHECKPOINT = "checkpoint"
    SIZE = "size"


class Part(StrEnum):
    """Of a size."""

    WIDTH = "width"
    HEIGHT = "height"


class Binding(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An input of a node that gets the value. A `lora` is bound to `lora_name` of the loader that it replaces."""

    node: Annotated[str, Meta(min_length=1, max_length=100, examples=["3"])]
    input: Annotated[str, Meta(min_length=1, max_length=100, examples=["steps"])]
    part: Part | None = None


class Parameter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Without a `default` a value must be given.

    `min` and `max` bound a number, both sides of a size, the length of a text, and how many LoRAs a chain may have;
    `step` is counted from `min`, or from 0. `wildcards`: the text is left to chance, see workflows/wildcards.py.
    """

    name: Name
    type: Kind
    label: Title = ""
    description: Sentences = ""
    group: Title = ""
    default: Any = UNSET
    min: int | float | None = None
    max: int | float | None = None
    step: int | float | None = None
    choices: Annotated[tuple[Scalar, ...], Meta(max_length=MAX_CHOICES)] = ()
    wildcards: bool = False
    binds: Annotated[tuple[Binding, ...], Meta(min_length=1, max_length=MAX_BINDS)]

    @property
    def required(self) -> bool:
        return self.default is UNSET


class Form(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`max_batch_size`: how many runs a batch of it may have; 1: it is for one at a time.

    `example`: values that make something of it.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200, examples=["A portrait"])]
    description: Sentences = ""
    category: Word
    model_family: Word
    max_batch_size: Annotated[int, Meta(ge=1, le=200)] = 1
    parameters: Annotated[tuple[Parameter, ...], Meta(max_length=MAX_PARAMETERS)] = ()
    lists: NamedLists = {}
    example: dict[str, Any] = {}

    @property
    def supports_batch(self) -> bool:
        return self.max_batch_size > 1

    @property
    def requires_image(self) -> bool:
        return any(each.type is Kind.IMAGE and each.required for each in self.parameters)

    @property
    def requires_mask(self) -> bool:
        return any(each.type is Kind.MASK and each.required for each in self.parameters)

    def of_kind(self, kind: Kind) -> tuple[Parameter, ...]:
        return tuple(each for each in self.parameters if each.type is kind)

    def named(self, name: str) -> Parameter | None:
        return next((each for each in self.parameters if each.name == name), None)


class Template(Struct, frozen=True):
    """A graph with a form. Written down as one document it is a version, known by its digest."""

    form: Form
    graph: dict[str, Any]
