"""Wishes about LoRAs: put on the shelf, named, shared, taken off."""

from commands.named_accounts import named_accounts
from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from domain import lora
from domain.ids import AccountId, LoraId, shelf_id
from domain.lora import SHELF, LoraEvent, LoraUploaded, Quota, Shelf
from domain.refusals import FieldError, Invalid


class UploadLora(Command, frozen=True, kw_only=True):
    """Its file is in the object store."""

    uploaded: LoraUploaded
    quota: Quota


class ChangeLora(Command, frozen=True, kw_only=True):
    """Rename, describe, share; None leaves a thing as it is. `shared_with`: ids or names of accounts."""

    by: AccountId
    lora: LoraId
    name: str | None = None
    description: str | None = None
    public: bool | None = None
    shared_with: tuple[str, ...] | None = None
    expected: int | None = None


class DeleteLora(Command, frozen=True, kw_only=True):
    by: AccountId
    lora: LoraId
    expected: int | None = None


class ClearShelf(Command, frozen=True, kw_only=True):
    """Its account is erased."""

    account: AccountId
    with_published: bool = False


async def upload_lora(command: UploadLora, context: Context, needs: Needs) -> Accepted:
    """Raises Conflict, Invalid."""
    return await needs.streams.transact(
        context,
        Change(
            SHELF,
            shelf_id(command.uploaded.owner),
            lambda shelf: lora.upload(shelf, uploaded=command.uploaded, quota=command.quota),
        ),
    )


async def change_lora(command: ChangeLora, context: Context, needs: Needs) -> Accepted:
    """All changes or none. Raises NotFound, Invalid, Conflict, Outdated, KeyReused."""
    by, id = command.by, command.lora
    state, _ = await needs.streams.load(SHELF, shelf_id(by))
    lora.owned(state, by=by, lora=id)  # before anybody learns which accounts there are
    accounts = None if command.shared_with is None else await _accounts(command.shared_with, needs)

    def decide(shelf: Shelf) -> list[LoraEvent]:
        events: list[LoraEvent] = []
        if command.name is not None:
            events += lora.rename(shelf, by=by, lora=id, name=command.name)
        if command.description is not None:
            events += lora.describe(shelf, by=by, lora=id, description=command.description)
        if command.public is not None or accounts is not None:
            events += lora.share(shelf, by=by, lora=id, public=command.public, accounts=accounts)
        lora.owned(shelf, by=by, lora=id)
        return events

    change = Change(SHELF, shelf_id(by), decide, expected=command.expected)
    return await needs.streams.transact(context, change)


async def delete_lora(command: DeleteLora, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated."""
    change = Change(
        SHELF,
        shelf_id(command.by),
        lambda shelf: lora.delete(shelf, by=command.by, lora=command.lora),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def clear_shelf(command: ClearShelf, context: Context, needs: Needs) -> Accepted:
    return await needs.streams.transact(
        context,
        Change(
            SHELF,
            shelf_id(command.account),
            lambda shelf: lora.clear(shelf, with_published=command.with_published),
        ),
    )


async def _accounts(named: tuple[str, ...], needs: Needs) -> tuple[AccountId, ...]:
    if len(named) > lora.MAX_SHARED_WITH:
        raise Invalid(
            "The LoRA is shared with too many.",
            FieldError("shared_with", f"At most {lora.MAX_SHARED_WITH} accounts."),
        )
    return await named_accounts(named, needs, field="shared_with")
