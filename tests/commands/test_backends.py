"""What is seen of backends."""

from commands.backends import LoseBackend, SeeBackend
from domain.backend import BackendLost, BackendSeen
from tests.commands.ground import Ground

SEEN = BackendSeen(name="gpu-1", executor="east", device="RTX 4090")


async def test_a_backend_comes_and_goes_and_comes_again(ground: Ground) -> None:
    for _ in range(2):
        await ground.wish(SeeBackend(sight=SEEN))
        await ground.wish(SeeBackend(sight=SEEN))
        await ground.wish(LoseBackend(name="gpu-1", reason="Gone."))
        await ground.wish(LoseBackend(name="gpu-1", reason="Gone."))
    lost = BackendLost(name="gpu-1", reason="Gone.")
    assert await ground.happened() == [SEEN, lost, SEEN, lost]


async def test_a_backend_is_known_by_its_name(ground: Ground) -> None:
    await ground.wish(SeeBackend(sight=SEEN))
    await ground.wish(LoseBackend(name="gpu-2", reason="Gone."))
    assert await ground.happened() == [SEEN]
