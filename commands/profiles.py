"""What somebody shows of themselves: texts that are sealed in the log, and a picture that is kept beside it.

A new picture is kept before the event that names it, and the one before is forgotten after it.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from commands.addresses import checked_url
from commands.avatars import Avatar
from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context, Source
from domain import profile
from domain.account import ACCOUNT, SESSION_OVER, Account
from domain.ids import AccountId, profile_id
from domain.personal import Personal, SealedText
from domain.profile import PROFILE, Profile, ProfileEvent
from domain.refusals import DomainError, FieldError, Invalid, NotAuthenticated
from domain.words import WORDS, WORDS_ID, allow

MAX_DISPLAY_NAME = 80
MAX_BIO = 2_000
MAX_LINKS = 8
MAX_LINK = 500
JOINER = "\u200d"  # several emoji that are shown as one
FIELDS = ("display_name", "bio", "links")


class ChangeProfile(Command, frozen=True, kw_only=True):
    """None leaves a thing as it is; what is empty is taken away."""

    account: AccountId
    display_name: str | None = None
    bio: str | None = None
    links: Sequence[str] | None = None


class SetAvatar(Command, frozen=True, kw_only=True):
    account: AccountId
    avatar: Avatar


class RemoveAvatar(Command, frozen=True, kw_only=True):
    account: AccountId


async def change_profile(command: ChangeProfile, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid with every error at once, NotAuthenticated."""
    wanted = _checked(command)
    blocked, _ = await needs.streams.load(WORDS, WORDS_ID)
    allow(blocked, **wanted)
    keys = await needs.accounts.keys([command.account])
    if command.account not in keys:
        raise NotAuthenticated(SESSION_OVER)
    state, _ = await needs.streams.load(PROFILE, profile_id(command.account))
    said = await texts(command.account, state, needs)
    sealed: dict[str, Personal | None] = {}
    for field, text in wanted.items():
        same = said[field] == text  # sealed anew it would look like another one
        kept: Personal | None = getattr(state, field)
        key = keys[command.account]
        sealed[field] = kept if same else needs.vault.seal(key, command.account, field, text)

    def decide(state: Profile, whose: Account) -> list[ProfileEvent]:
        return profile.change(state, whose, **sealed)

    return await needs.streams.transact(context, _change(command.account, decide))


async def set_avatar(command: SetAvatar, context: Context, needs: Needs) -> Accepted:
    """Raises NotAuthenticated."""
    id = needs.new_id()
    if not await needs.avatars.keep(command.account, id, command.avatar):
        raise NotAuthenticated(SESSION_OVER)
    try:
        accepted = await _show(command.account, id, context, needs)
    except DomainError:
        await needs.avatars.forget(command.account, id)
        raise
    if accepted.repeated:
        await needs.avatars.forget(command.account, id)
    return accepted


async def remove_avatar(command: RemoveAvatar, context: Context, needs: Needs) -> Accepted:
    """Raises NotAuthenticated."""
    return await _show(command.account, None, context, needs)


async def texts(account: AccountId, state: Profile, needs: Needs) -> dict[str, str]:
    """What a profile says, by its fields; nothing where it never said anything."""
    sealed = [
        SealedText(account, field, kept) for field in FIELDS if (kept := getattr(state, field)) is not None
    ]
    opened = await needs.vault.texts(sealed)
    said = {each.field: text or "" for each, text in zip(sealed, opened, strict=True)}
    return {field: said.get(field, "") for field in FIELDS}


async def _show(account: AccountId, avatar: UUID | None, context: Context, needs: Needs) -> Accepted:
    replaced = list[UUID | None]()

    def decide(state: Profile, whose: Account) -> list[ProfileEvent]:
        replaced[:] = [state.avatar]
        return profile.show(state, whose, avatar=avatar)

    accepted = await needs.streams.transact(context, _change(account, decide))
    for old in replaced:
        if old is not None and not accepted.repeated:
            await needs.avatars.forget(account, old)
    return accepted


def _change(account: AccountId, decide: Callable[..., list[ProfileEvent]]) -> Change[Profile, ProfileEvent]:
    """Rests on the account: whoever is forgotten meanwhile shows nothing."""
    return Change(PROFILE, profile_id(account), decide, given=(Source(ACCOUNT, account),))


def _checked(command: ChangeProfile) -> dict[str, str]:
    """Raises Invalid."""
    wanted: dict[str, str] = {}
    errors: list[FieldError] = []
    if command.display_name is not None:
        name = wanted["display_name"] = " ".join(command.display_name.split())
        if len(name) > MAX_DISPLAY_NAME or not _printable(name):
            errors.append(
                FieldError("display_name", f"It has {MAX_DISPLAY_NAME} printable characters at most.")
            )
    if command.bio is not None:
        bio = wanted["bio"] = command.bio.replace("\r\n", "\n").strip()
        if len(bio) > MAX_BIO or not all(_printable(line) for line in bio.replace("\t", " ").split("\n")):
            errors.append(FieldError("bio", f"It has {MAX_BIO} characters at most, and none that steer."))
    if command.links is not None:
        links = [link.strip() for link in command.links]
        wanted["links"] = "\n".join(links)
        if len(links) > MAX_LINKS:
            errors.append(FieldError("links", f"There are {MAX_LINKS} at most."))
        errors += [
            FieldError(f"links.{place}", fault) for place, link in enumerate(links) if (fault := _fault(link))
        ]
    if errors:
        raise Invalid("The profile cannot be like this.", *errors)
    return wanted


def _fault(link: str) -> str | None:
    page, _, fragment = link.partition("#")
    if len(link) > MAX_LINK or not fragment.isascii() or not fragment.isprintable() or " " in fragment:
        return f"It has {MAX_LINK} printable ASCII characters at most."
    try:
        checked_url(page, private=True)  # nobody here dials it
    except Invalid as error:
        return error.errors[0].reason
    return None


def _printable(text: str) -> bool:
    """Without what would move the cursor or turn the direction of what stands beside it."""
    return text.replace(JOINER, "").isprintable()
