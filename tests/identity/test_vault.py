"""What is sealed opens with its own key only, for whom and as what it was sealed."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from adapters.identity.vault import ForgedError, SecretVault
from domain.account import AccountErased, AccountRegistered
from domain.event import AnyRecorded
from domain.ids import AccountId
from domain.personal import Personal, SealedText
from tests.projections.ground import recorded

ANN, BOB = AccountId(UUID(int=0xA)), AccountId(UUID(int=0xB))
SECRET = b"a secret that only tests know"


class Keys:
    def __init__(self) -> None:
        self.kept: dict[AccountId, bytes] = {}
        self.asked: list[list[AccountId]] = []

    async def __call__(self, accounts: Sequence[AccountId]) -> dict[AccountId, bytes]:
        self.asked.append(list(accounts))
        return {account: self.kept[account] for account in accounts if account in self.kept}


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def vault(keys: Keys) -> SecretVault:
    vault = SecretVault(SECRET, keys)
    keys.kept = {account: vault.new_key(account) for account in (ANN, BOB)}
    return vault


def sealed(vault: SecretVault, keys: Keys, text: str, account: AccountId = ANN) -> Personal:
    return vault.seal(keys.kept[account], account, "username", text)


async def test_what_is_sealed_opens(vault: SecretVault, keys: Keys) -> None:
    for text in ("ann", "", "Ännchen \U0001f511", "x" * 1000):
        personal = sealed(vault, keys, text)
        assert text == "" or text not in personal.sealed
        assert await vault.texts([SealedText(ANN, "username", personal)]) == [text]


def test_the_same_name_is_sealed_otherwise_each_time(vault: SecretVault, keys: Keys) -> None:
    assert sealed(vault, keys, "ann") != sealed(vault, keys, "ann")
    assert vault.new_key(ANN) != vault.new_key(ANN)


@pytest.mark.parametrize(
    ("account", "field", "change"),
    [(BOB, "username", ""), (ANN, "email", ""), (ANN, "username", "AAAA"), (ANN, "username", "!")],
)
async def test_it_opens_as_nothing_else(
    vault: SecretVault, keys: Keys, account: AccountId, field: str, change: str
) -> None:
    personal = Personal(change + sealed(vault, keys, "ann").sealed)
    with pytest.raises(ForgedError):
        await vault.texts([SealedText(account, field, personal)])


async def test_a_key_is_worthless_without_the_servers_secret(vault: SecretVault, keys: Keys) -> None:
    personal = sealed(vault, keys, "ann")
    with pytest.raises(ForgedError):
        await SecretVault(b"another secret", keys).texts([SealedText(ANN, "username", personal)])


async def test_a_key_is_one_accounts(vault: SecretVault, keys: Keys) -> None:
    personal = sealed(vault, keys, "ann")
    keys.kept = {BOB: keys.kept[ANN]}
    with pytest.raises(ForgedError):
        await vault.texts([SealedText(BOB, "username", personal)])


async def test_without_its_key_it_stays_shut(vault: SecretVault, keys: Keys) -> None:
    ann, bob = (sealed(vault, keys, name, account) for name, account in (("ann", ANN), ("bob", BOB)))
    del keys.kept[ANN]
    asked = [SealedText(ANN, "username", ann), SealedText(BOB, "username", bob)]
    assert await vault.texts(asked) == [None, "bob"]


async def test_events_are_opened_together_and_others_left_alone(vault: SecretVault, keys: Keys) -> None:
    def registered(position: int, account: AccountId, personal: Personal) -> AnyRecorded:
        return recorded(position, account, AccountRegistered(account=account, username=personal))

    events = [
        registered(1, ANN, sealed(vault, keys, "ann")),
        recorded(2, ANN, AccountErased()),
        registered(3, BOB, sealed(vault, keys, "bob", BOB)),
        registered(4, ANN, Personal("", "as it was once")),
    ]
    opened = await vault.open(events)
    assert [each.position for each in opened] == [1, 2, 3, 4]
    assert opened[1] is events[1]
    texts = [each.event.username.text for each in opened if isinstance(each.event, AccountRegistered)]
    assert texts == ["ann", "bob", "as it was once"]
    assert keys.asked == [[ANN, BOB]]
    await vault.open([events[1]])
    assert len(keys.asked) == 1  # nothing personal: nobody is asked for keys
