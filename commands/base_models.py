"""What a model file was made from, as far as anybody knows: administrators, the file itself, its name."""

from commands.known_backends import Surroundings
from commands.known_models import usable
from commands.needs import Needs
from domain.ids import AccountId
from workflows.families import of_model_name, of_words
from workflows.models import plain

CHECKPOINTS = ("checkpoints", "diffusion_models")
"""The folders of whatever a LoRA is laid upon."""


async def of_checkpoint(name: str, by: AccountId, view: Surroundings, needs: Needs) -> str:
    """The family, or nothing. Names speak of checkpoints often and clearly, of LoRAs they do not."""
    told = await told_of(name, CHECKPOINTS, by, view, needs)
    return of_model_name(name) if told is None else told


async def told_of(
    name: str, folders: tuple[str, ...], by: AccountId, view: Surroundings, needs: Needs
) -> str | None:
    """The family; empty: something is told, but nothing that is known here. None: nothing is told.

    Of what the account may not use nothing is told. What administrators say counts before what the file says.
    """
    for folder in folders:
        if not await usable(folder, name, by, view, needs):
            return None
    for folder in folders:
        if words := view.based.get(f"{folder}/{plain(name)}"):
            return of_words(words)
    found = {
        family
        for each in view.backends
        if each.inventory is not None and each.state.live and each.serves(by)
        for folder in folders
        if (family := each.inventory.base_models.get(f"{folder}/{name}"))
    }
    return None if not found else found.pop() if len(found) == 1 else ""
