"""What a deleted run or input leaves behind is removed, unless something else needs it."""

from msgspec.structs import replace

from infra.removing import removing
from infra.settings import Settings
from tests.http.errands import drawn, errand, eventually, value
from tests.http.person import PARAMETERS, joined, png
from tests.http.test_erasing import _is, stored
from tests.http.whole import Whole, beside


def hasty(whole: Whole) -> Settings:
    return replace(whole.settings, lease_s=0.2)


def pending(whole: Whole) -> object:
    return value(whole, "SELECT count(*) FROM work.removals")


def kept(whole: Whole, digest: str) -> bool:
    return (whole.settings.data / "objects" / digest[:2] / digest).is_file()


async def test_outputs_of_a_deleted_run_go_unless_another_run_has_them(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        first = await drawn(own, ann, b"hers alone", b"twice hers", b"both")
        second = await drawn(own, ann, b"twice hers")
        third = await drawn(own, bob, b"both")
        await ann.ask("DELETE", f"/runs/{first}")
        with beside(errand(lambda: removing(hasty(own)))):
            await eventually(lambda: _is(lambda: not stored(own, b"hers alone")))
            await eventually(lambda: _is(lambda: pending(own) == 0))
            assert not stored(own, b"small hers alone")
            assert all(stored(own, body) for body in (b"twice hers", b"both", b"small both"))
            await ann.ask("DELETE", f"/runs/{second}")
            await eventually(lambda: _is(lambda: not stored(own, b"twice hers")))
            await bob.ask("DELETE", f"/runs/{third}")
            await eventually(lambda: _is(lambda: not stored(own, b"both")))


async def test_whoever_is_killed_meanwhile_goes_on(own: Whole) -> None:
    async with joined(own) as ann:
        run = await drawn(own, ann, b"to go")
        await ann.ask("DELETE", f"/runs/{run}")
        with beside(errand(lambda: removing(replace(own.settings, lease_s=300.0)))):
            await eventually(lambda: _is(lambda: pending(own) == 2))
        assert stored(own, b"to go")
        value(own, "UPDATE work.removals SET due_at = now() RETURNING 1")
        with beside(errand(lambda: removing(hasty(own)))):
            await eventually(lambda: _is(lambda: not stored(own, b"to go")))


async def test_a_deleted_input_is_there_for_the_runs_that_wait_for_it(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        alone, waited, shared = [await ann.upload(png(20 + n, 20)) for n in range(3)]
        await bob.upload(png(22, 20))
        run = (await ann.post("/generate", PARAMETERS | {"image": waited["id"]}))["id"]
        for each in (alone, waited, shared):
            await ann.ask("DELETE", f"/inputs/{each['id']}")
        with beside(errand(lambda: removing(hasty(own)))):
            await eventually(lambda: _is(lambda: not kept(own, alone["digest"])))
            await eventually(lambda: _is(lambda: pending(own) == 1))
            assert kept(own, waited["digest"])
            assert kept(own, shared["digest"])
            await ann.post(f"/runs/{run}/cancel")
            await eventually(lambda: _is(lambda: not kept(own, waited["digest"])))
