"""Log-ins by a provider that are under way, in memory."""

from commands.providers import SignOn


class MemorySignOns:
    """The SignOns port."""

    def __init__(self) -> None:
        self.kept: dict[bytes, SignOn] = {}

    async def keep(self, sign_on: SignOn) -> None:
        self.kept[sign_on.key] = sign_on

    async def take(self, key: bytes) -> SignOn | None:
        return self.kept.pop(key, None)
