"""Old runs are put away with their files, and what happened to them stays."""

from msgspec.structs import replace

from infra.cleaning import cleaning
from infra.removing import removing
from infra.settings import Settings
from tests.http.administrators import administrator
from tests.http.errands import errand, eventually
from tests.http.executor import by_hand
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.whole import Whole, beside


def hasty(settings: Settings) -> Settings:
    """Files settle at once."""
    return replace(settings, lease_s=0.001, beat_s=0.0005)


def asked_for(position: int, runs: int | None, outputs: int | None) -> dict[str, object]:
    return {"position": position, "done": runs is not None, "runs": runs, "outputs": outputs}


async def listed(person: Person) -> list[str]:
    return [run["id"] for run in (await person.get("/runs"))["items"]]


async def test_old_runs_go_with_their_files_and_their_history_stays(own: Whole) -> None:
    async with administrator(own) as admin, joined(own) as ann, by_hand(own) as hand:
        workflow = await ann.workflow()
        digests = []
        for body in (b"one", b"shared", b"shared"):
            claimed = await hand.claim(await ann.run(workflow))
            await hand.start(claimed)
            digests.append((await hand.store(claimed, body)).digest)
            await hand.succeed(claimed)
        kept = await ann.run(workflow)
        await ann.post(f"/runs/{kept}/cancel")

        async def over() -> bool:
            runs = (await ann.get("/runs"))["items"]
            return [run["status"] for run in runs] == ["cancelled", *["succeeded"] * 3]

        await eventually(over)
        before = await listed(ann)
        folder = own.settings.data / "objects"
        assert all(list(folder.glob(f"*/{digest}")) for digest in digests)

        wish = {"reason": "A test's.", "older_than_s": 0, "states": ["succeeded"]}
        refused(await ann.ask("POST", "/queue/clean", json=wish), 403)
        refused(await admin.ask("POST", "/queue/clean", json=wish | {"states": ["queued"]}), 422)
        refused(await admin.ask("POST", "/queue/clean", json=wish | {"older_than_s": -1}), 422)
        asked = await admin.post("/queue/clean", wish)
        status = f"/queue/clean/{asked['position']}"
        assert asked["status_url"].endswith(status)
        assert await admin.get(status) == asked_for(asked["position"], None, None)
        for nothing in (0, asked["position"] - 1, 2**70):
            refused(await admin.ask("GET", f"/queue/clean/{nothing}"), 404)

        with (
            beside(errand(lambda: cleaning(own.settings))),
            beside(errand(lambda: removing(hasty(own.settings)))),
        ):

            async def put_away() -> bool:
                return await listed(ann) == [kept] and not any(
                    list(folder.glob(f"*/{digest}")) for digest in digests
                )

            await eventually(put_away)

            async def told() -> bool:
                return bool((await admin.get(status))["done"])

            await eventually(told)
        assert await admin.get(status) == asked_for(asked["position"], 3, 3)
        refused(await ann.ask("GET", f"/runs/{before[-1]}"), 404)
        topics = [each["topic"] for each in (await ann.get(f"/runs/{before[-1]}/history"))["items"]]
        assert (topics[0], topics[-1]) == ("run.submitted.v1", "run.deleted.v1")
