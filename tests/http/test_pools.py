"""Pools at the door: named by who may, given to accounts, and hidden in nothing that a run tells."""

from uuid import uuid4

import pytest

from adapters.http.pools import AdminPoolList
from tests.http.administrators import administrator
from tests.http.executor import by_hand
from tests.http.person import GRAPH, PARAMETERS, Person
from tests.http.problems import refused
from tests.http.test_workflows import shaped
from tests.http.whole import Whole

REASON = {"reason": "A test's."}


@pytest.fixture
def pool() -> str:
    return f"p-{uuid4().hex[:12]}"


async def test_a_pool_is_for_whom_it_is_meant_for_by_every_route(
    served: Whole, ann: Person, bob: Person, pool: str
) -> None:
    workflow = await ann.workflow()
    run = await ann.run(workflow)
    ways = (
        (f"/workflows/{workflow}/runs", {}),
        ("/runs", {"graph": GRAPH}),
        (f"/runs/{run}/rerun", {}),
        ("/generate", PARAMETERS),
        ("/generate/batch", {"runs": [PARAMETERS]}),
        ("/generate/grid", {"parameters": PARAMETERS, "vary": {"cfg": [1]}}),
    )
    async with administrator(served) as root:
        for path, body in ways:
            (error,) = refused(await ann.ask("POST", path, json=body | {"pool": pool}), 422)["errors"]
            assert error["field"] == "pool"
        path = f"/admin/pools/{pool}"
        await root.ask("PUT", path, json=REASON | {"rank": 3, "audience": {"accounts": [ann.name]}})
        for path, body in ways:
            made = await ann.post(path, body | {"pool": pool})
            await ann.post(f"/{'batches' if 'runs' in made else 'runs'}/{made['id']}/cancel")
        (error,) = refused(await bob.ask("POST", "/generate", json=PARAMETERS | {"pool": pool}), 422)[
            "errors"
        ]
        (other,) = refused(await bob.ask("POST", "/generate", json=PARAMETERS | {"pool": "no-such"}), 422)[
            "errors"
        ]
        assert error == other
        refused(await ann.ask("POST", "/generate", json=PARAMETERS | {"pool": ""}), 422)

        given = await root.ask("PUT", f"/admin/accounts/{bob.id}/pool", json=REASON | {"pool": pool})
        assert given.status_code == 202
        shown = await root.get("/admin/pools")
        shaped(AdminPoolList, shown)
        (own,) = [each for each in shown["items"] if each["name"] == pool]
        assert (own["rank"], own["accounts"]) == (3, [bob.id])
        assert own["audience"] == {"roles": [], "accounts": [ann.id]}
        refused(await root.ask("PUT", f"/admin/accounts/{uuid4()}/pool", json=REASON | {"pool": pool}), 404)
        refused(await root.ask("PUT", f"/admin/accounts/{bob.id}/pool", json=REASON | {"pool": "a b"}), 422)
        his = await bob.post("/generate", PARAMETERS)  # there he waits from now on
        async with by_hand(served) as hand:
            await hand.beat()
            told = await bob.get(f"/runs/{his['id']}")
            assert told["pool"] == pool
            assert told["waiting_for"] == f"No backend serves the pool {pool} at the moment."
        await bob.post(f"/runs/{his['id']}/cancel")
