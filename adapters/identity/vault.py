"""Personal text, sealed: a key an account, itself sealed with a key made from the server's secret.

XChaCha20-Poly1305 with random nonces: base64 of 24 bytes of nonce, then the ciphertext. What was sealed for one
account or field does not open as another's.
"""

import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec.structs import replace as changed
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from adapters.identity.secrets import derive
from domain.catalogue import CATALOGUE, Catalogue
from domain.event import AnyRecorded, Event
from domain.ids import AccountId
from domain.personal import Personal, SealedText, sealed_texts

Keys: TypeAlias = Callable[[Sequence[AccountId]], Awaitable[Mapping[AccountId, bytes]]]
"""The sealed keys of those accounts that have one (any more)."""


class ForgedError(Exception):
    """It was sealed with another key or secret, for somebody else, or was changed since."""


class SecretVault:
    """The Vault port."""

    def __init__(self, secret: bytes, keys: Keys, catalogue: Catalogue = CATALOGUE) -> None:
        self._outer = Aead(derive(secret, "account keys"))
        self._keys = keys
        self._personal = catalogue.personal

    def new_key(self, account: AccountId) -> bytes:
        return bytes(self._outer.encrypt(secrets.token_bytes(Aead.KEY_SIZE), account.bytes))

    def seal(self, key: bytes, account: AccountId, field: str, text: str) -> Personal:
        """Raises ForgedError when the key is not one of ours."""
        body = self._opened(key, account).encrypt(text.encode(), _bound(account, field))
        return Personal(base64.b64encode(body).decode())

    async def texts(self, sealed: Sequence[SealedText]) -> list[str | None]:
        """Keys are asked for each time: one that was destroyed must not live on in memory."""
        accounts = list(dict.fromkeys(each.account for each in sealed))
        keys = await self._keys(accounts) if accounts else {}
        opened = {account: self._opened(key, account) for account, key in keys.items()}
        return [_text(opened[each.account], each) if each.account in opened else None for each in sealed]

    async def open(self, events: Sequence[AnyRecorded]) -> list[AnyRecorded]:
        personal = self._personal
        found = [
            (place, sealed_texts(recorded.event, personal[type(recorded.event)]))
            for place, recorded in enumerate(events)
            if type(recorded.event) in personal
        ]
        opened = list(events)
        texts = iter(await self.texts([each for _, of_event in found for each in of_event]))
        for place, of_event in found:
            named = {each.field: next(texts) for each in of_event}
            opened[place] = changed(events[place], event=_with(events[place].event, named))
        return opened

    def _opened(self, key: bytes, account: AccountId) -> Aead:
        try:
            return Aead(self._outer.decrypt(key, account.bytes))
        except (CryptoError, ValueError) as error:
            raise ForgedError("The key of an account was not made with this server's secret.") from error


def _with(event: Event, texts: Mapping[str, str | None]) -> Event:
    return changed(event, **{name: changed(getattr(event, name), text=text) for name, text in texts.items()})


def _text(key: Aead, sealed: SealedText) -> str:
    try:
        body = base64.b64decode(sealed.personal.sealed, validate=True)
        return key.decrypt(body, _bound(sealed.account, sealed.field)).decode()
    except (CryptoError, ValueError) as error:
        raise ForgedError("A personal field does not open with its account's key.") from error


def _bound(account: AccountId, field: str) -> bytes:
    return account.bytes + field.encode()
