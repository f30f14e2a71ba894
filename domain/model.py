"""The models that administrators say something of: what they are, whether they are in use, and for whom.

All of them are one stream: there are hundreds at most, and whoever submits a run asks for all at once. A model that
nobody says anything of is for everybody who can reach a backend that has it.
"""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.audience import Audience, settled
from domain.event import Decider, Event
from domain.ids import ModelId, model_id
from domain.reasons import stated
from domain.refusals import Conflict, FieldError, Invalid, NotFound


class About(Struct, frozen=True, kw_only=True):
    """What is said of a model. Not `active`: nobody may use it. `audience` None: everybody may."""

    description: str = ""
    base_model: str = ""
    trigger_words: tuple[str, ...] = ()
    active: bool = True
    audience: Audience | None = None


class ModelRegistered(Event, frozen=True, kw_only=True, tag="model.registered.v1"):
    """`type`: the models folder that it lies in. `name`: as a graph names it."""

    model: ModelId
    type: str
    name: str
    about: About = About()
    reason: str


class ModelChanged(Event, frozen=True, kw_only=True, tag="model.changed.v1"):
    """All that is said of it from now on."""

    model: ModelId
    about: About
    reason: str


class ModelRemoved(Event, frozen=True, kw_only=True, tag="model.removed.v1"):
    """Nothing is said of it any more. It may still lie on backends, and is for everybody then."""

    model: ModelId
    reason: str


ModelEvent: TypeAlias = ModelRegistered | ModelChanged | ModelRemoved

MAX_MODELS = 2_000  # the state is read and folded as a whole
MAX_TYPE, MAX_NAME = 64, 500
MAX_DESCRIPTION, MAX_BASE_MODEL = 2_000, 64
MAX_TRIGGERS, MAX_TRIGGER = 50, 100
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
NO_MODEL = "There is no such model."


class Model(Struct, frozen=True):
    id: ModelId
    type: str
    name: str
    about: About

    @property
    def restricted(self) -> bool:
        """Whether there is anybody who may not use it."""
        return not self.about.active or self.about.audience is not None


class Models(Struct, frozen=True):
    known: dict[ModelId, Model] = {}


def evolve(models: Models, event: ModelEvent) -> Models:
    match event:
        case ModelRegistered(model=id):
            return Models({**models.known, id: Model(id, event.type, event.name, event.about)})
        case ModelChanged(model=id, about=about):
            return Models({**models.known, id: replace(models.known[id], about=about)})
        case ModelRemoved(model=id):
            return Models({other: model for other, model in models.known.items() if other != id})


MODELS: Decider[Models, ModelEvent] = Decider("model", Models(), evolve, lambda models: None)


def register(models: Models, *, type: str, name: str, about: About, reason: str) -> list[ModelEvent]:
    """Say something of a model: of one that backends have, or of one that no backend has told of."""
    given, id = stated(reason), model_id(type, name)
    errors = [*_identity_errors(type, name), *_errors(about)]
    if errors:
        raise Invalid("The model cannot be registered.", *errors)
    if id in models.known:
        raise Conflict("This model is registered already. It can be changed.")
    if len(models.known) >= MAX_MODELS:
        raise Conflict(f"At most {MAX_MODELS} models can be registered.")
    return [ModelRegistered(model=id, type=type, name=name, about=_settled(about), reason=given)]


def change(models: Models, *, model: ModelId, about: About, reason: str) -> list[ModelEvent]:
    """Say something else of it."""
    given, was = stated(reason), known(models, model)
    if errors := _errors(about):
        raise Invalid("This cannot be said of a model.", *errors)
    wanted = _settled(about)
    return [] if was.about == wanted else [ModelChanged(model=model, about=wanted, reason=given)]


def remove(models: Models, *, model: ModelId, reason: str) -> list[ModelEvent]:
    """Say nothing of it any more."""
    given = stated(reason)
    known(models, model)
    return [ModelRemoved(model=model, reason=given)]


def known(models: Models, model: ModelId) -> Model:
    """Raises NotFound."""
    if (found := models.known.get(model)) is None:
        raise NotFound(NO_MODEL)
    return found


def _identity_errors(type: str, name: str) -> list[FieldError]:
    errors = []
    if not 1 <= len(type) <= MAX_TYPE or not set(type) <= LETTERS:
        errors.append(
            FieldError("type", f"The name of a models folder: 1 to {MAX_TYPE} letters, digits, - and _.")
        )
    parts = name.replace("\\", "/").split("/")
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        errors.append(FieldError("name", f"It has 1 to {MAX_NAME} printable characters."))
    elif not all(parts) or {".", ".."} & set(parts):
        errors.append(FieldError("name", "It is the name of a file in its models folder."))
    elif len(parts) > 1 and parts[0].startswith("user-"):
        errors.append(FieldError("name", "What accounts have uploaded is shared by them."))
    return errors


def _errors(about: About) -> list[FieldError]:
    errors = []
    if len(about.description) > MAX_DESCRIPTION:
        errors.append(FieldError("description", f"At most {MAX_DESCRIPTION} characters."))
    if len(about.base_model) > MAX_BASE_MODEL or not about.base_model.isprintable():
        errors.append(FieldError("base_model", f"At most {MAX_BASE_MODEL} printable characters."))
    if len(about.trigger_words) > MAX_TRIGGERS:
        errors.append(FieldError("trigger_words", f"At most {MAX_TRIGGERS}."))
    errors += [
        FieldError(f"trigger_words.{place}", f"It has 1 to {MAX_TRIGGER} printable characters.")
        for place, word in enumerate(about.trigger_words[:MAX_TRIGGERS])
        if not 1 <= len(word) <= MAX_TRIGGER or not word.isprintable()
    ]
    return errors


def _settled(about: About) -> About:
    return about if about.audience is None else replace(about, audience=settled(about.audience))
