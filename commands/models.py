"""What administrators wish to say of models."""

from msgspec.structs import replace

from commands.audiences import Restriction, audience
from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from domain import model
from domain.ids import ModelId, models_id
from domain.model import MODELS, About, ModelEvent, Models


class RegisterModel(Command, frozen=True, kw_only=True):
    """`audience` None: everybody. Whether the one who asks may do so is known by the caller; so in those below."""

    type: str
    name: str
    description: str = ""
    base_model: str = ""
    trigger_words: tuple[str, ...] = ()
    active: bool = True
    audience: Restriction | None = None
    reason: str


class ChangeModel(Command, frozen=True, kw_only=True):
    """None: as it was. `everybody`: without an audience from now on."""

    model: ModelId
    description: str | None = None
    base_model: str | None = None
    trigger_words: tuple[str, ...] | None = None
    active: bool | None = None
    audience: Restriction | None = None
    everybody: bool = False
    reason: str


class RemoveModel(Command, frozen=True, kw_only=True):
    model: ModelId
    reason: str


async def register_model(command: RegisterModel, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, Conflict, KeyReused."""
    about = About(
        description=command.description,
        base_model=command.base_model,
        trigger_words=command.trigger_words,
        active=command.active,
        audience=await audience(command.audience, needs),
    )

    def decide(state: Models) -> list[ModelEvent]:
        return model.register(state, type=command.type, name=command.name, about=about, reason=command.reason)

    return await _decided(Change(MODELS, models_id(), decide), context, needs)


async def change_model(command: ChangeModel, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, KeyReused."""
    wanted = await audience(command.audience, needs)
    said = {
        name: value
        for name in ("description", "base_model", "trigger_words", "active")
        if (value := getattr(command, name)) is not None
    }
    if wanted is not None or command.everybody:
        said["audience"] = wanted

    def decide(state: Models) -> list[ModelEvent]:
        about = replace(model.known(state, command.model).about, **said)
        return model.change(state, model=command.model, about=about, reason=command.reason)

    return await _decided(Change(MODELS, models_id(), decide), context, needs)


async def remove_model(command: RemoveModel, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, KeyReused."""

    def decide(state: Models) -> list[ModelEvent]:
        return model.remove(state, model=command.model, reason=command.reason)

    return await _decided(Change(MODELS, models_id(), decide), context, needs)


async def _decided(change: Change[Models, ModelEvent], context: Context, needs: Needs) -> Accepted:
    accepted = await needs.streams.transact(context, change)
    needs.backends.look_again()
    return accepted
