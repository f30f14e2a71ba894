"""Where strangers may have us dial: names are looked up here, once, and each address found is looked at."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx

from commands.addresses import is_public

LOOK_UPS = 64  # at once; a name server may take its time, and must not keep the others waiting


class ClosedAddressError(httpx.ConnectError):
    """The name leads where nobody outside may send us."""


class Guard:
    """Finds the addresses to connect to. `private`: those of our own network are good too."""

    def __init__(self, *, private: bool = False) -> None:
        self._private = private
        self._threads = ThreadPoolExecutor(LOOK_UPS, "look-up")

    async def __call__(self, host: str, port: int) -> list[str]:
        """Raises ClosedAddressError when only one of them is not public: httpx.ConnectError when there is none."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _look_up, host, port)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError("The host's name is not known.") from error
        addresses = list(dict.fromkeys(found))
        if not self._private and not all(is_public(address) for address in addresses):
            raise ClosedAddressError("The host's name leads into a private network.")
        return addresses

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[str]:
    return [str(place[0]) for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
