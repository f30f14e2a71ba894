"""What has been used, day by day, and what it cost: one's own, and for administrators everybody's."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from adapters.http.usage import AccountUsagePage, CostAnswer
from domain.prices import read_prices
from tests.http.administrators import administrator
from tests.http.executor import ByHand, by_hand
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.test_own_outputs import made
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, another_api


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


async def test_what_was_used_is_told_with_what_it_cost(served: Whole, ann: Person, hand: ByHand) -> None:
    run = await made(ann, hand, await ann.run(await ann.workflow()), b"12345", b"123")
    await ann.ask("DELETE", f"/outputs/{run['outputs'][1]['id']}")
    dear = replace(served, settings=replace(served.settings, prices="gpu-1=2,*=1"))
    with another_api(dear) as second:
        ann.http.base_url = second.url
        told = await ann.get("/accounts/me/usage")
        shaped(CostAnswer, told)
        assert len(told["days"]) == 31
        total = told["total"]
        assert (total["submitted"], total["succeeded"], total["run_seconds"]) == (1, 1, 0.25)
        assert total["machines"] == [{"backend": "gpu-1", "run_seconds": 0.25, "cost": 0.5}]
        assert (total["cost"], total["stored_bytes"], total["storage_bytes"]) == (0.5, 8, 5)
        old = await ann.get("/accounts/me/usage", params={"from": "2020-02-28", "to": "2020-03-01"})
        assert [each["day"] for each in old["days"]] == ["2020-02-28", "2020-02-29", "2020-03-01"]
        assert (old["total"]["cost"], old["total"]["storage_bytes"]) == (0, 0)
        async with administrator(second) as root:
            root.seen = ann.seen
            everybody = await root.get("/admin/usage")
            shaped(CostAnswer, everybody)
            assert everybody["total"]["run_seconds"] >= 0.25
            after, found = None, None
            while found is None:
                page = await root.get(
                    "/admin/usage/accounts", params={"limit": 200} | ({"cursor": after} if after else {})
                )
                shaped(AccountUsagePage, page)
                found = next((each for each in page["items"] if each["account"] == ann.id), None)
                after = page["next_cursor"]
            assert (found["cost"], found["storage_bytes"], found["submitted"]) == (0.5, 5, 1)
        refused(await ann.ask("GET", "/admin/usage"), 403)
        ann.http.base_url = served.url
    for wrong in (
        {"from": "2026-01-02", "to": "2026-01-01"},
        {"from": "2020-01-01", "to": "2026-01-01"},
        {"to": "0001-01-05"},
    ):
        refused(await ann.ask("GET", "/accounts/me/usage", params=wrong), 422)
    refused(await ann.ask("GET", "/accounts/me/usage", params={"from": "yesterday"}), 400)


@pytest.mark.parametrize(
    ("text", "backend", "pool", "price"),
    [
        ("", "gpu-1", "shared", 0.0),
        ("gpu-1=2, pool:studio=3 ,*=1", "gpu-1", "studio", 2.0),
        ("gpu-1=2, pool:studio=3 ,*=1", "gpu-2", "studio", 3.0),
        ("gpu-1=2, pool:studio=3 ,*=1", "gpu-2", None, 1.0),
        ("gpu-1=2", "", None, 0.0),
    ],
)
def test_a_price_is_that_of_the_backend_its_pool_or_all(
    text: str, backend: str, pool: str | None, price: float
) -> None:
    assert read_prices(text).of(backend, pool) == price


@pytest.mark.parametrize("text", ["gpu-1", "=1", "gpu-1=x", "gpu-1=-1", "gpu-1=nan", "gpu-1=inf"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"price|float"):
        read_prices(text)
