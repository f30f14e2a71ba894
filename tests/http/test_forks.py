"""Forks, environments, and finding one's own workflows, over HTTP."""

from uuid import uuid4

from tests.http.person import GRAPH, Person
from tests.http.problems import refused
from tests.http.test_workflows import OTHER


async def test_a_fork_names_its_origin_and_is_listed_there(ann: Person, bob: Person) -> None:
    hers = await ann.workflow("Hers", description="so", tags=["blue"])
    await ann.post(f"/workflows/{hers}/versions", {"graph": OTHER})
    refused(await bob.ask("POST", f"/workflows/{hers}/fork"), 404)
    await ann.ask("PATCH", f"/workflows/{hers}", json={"public": True})
    answer = await bob.ask("POST", f"/workflows/{hers}/fork", json={"version": 1, "name": "His"})
    assert answer.status_code == 201, answer.text
    his = await bob.get(f"/workflows/{answer.json()['id']}")
    assert (his["name"], his["description"], his["tags"], his["graph"]) == ("His", "so", ["blue"], GRAPH)
    assert (his["forked_from"], his["public"]) == ({"workflow": hers, "version": 1}, False)
    assert [each["id"] for each in (await bob.get(f"/workflows/{hers}/forks"))["items"]] == [his["id"]]
    assert (await ann.get(f"/workflows/{hers}/forks"))["items"] == []  # it is not public
    await bob.ask("PATCH", f"/workflows/{his['id']}", json={"public": True})
    assert [each["id"] for each in (await ann.get(f"/workflows/{hers}/forks"))["items"]] == [his["id"]]
    history = (await bob.get(f"/workflows/{his['id']}/history"))["items"]
    assert [each["topic"] for each in history][:2] == ["workflow.created.v1", "workflow.forked.v1"]
    refused(await bob.ask("POST", f"/workflows/{hers}/fork", json={"version": 9}), 404)
    refused(await bob.ask("POST", f"/workflows/{hers}/fork", json={"name": " "}), 422)


async def test_forked_twice_with_one_key_it_is_there_once(ann: Person) -> None:
    workflow, key = await ann.workflow(), {"Idempotency-Key": uuid4().hex}
    first = await ann.post(f"/workflows/{workflow}/fork", headers=key)
    assert (await ann.post(f"/workflows/{workflow}/fork", headers=key))["id"] == first["id"]


async def test_a_run_may_name_an_environment(ann: Person) -> None:
    workflow = await ann.workflow()
    path = f"/workflows/{workflow}/environments/production"
    await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER})
    moved = await ann.ask("PUT", path, json={"version": 1})
    assert moved.status_code == 200, moved.text
    assert (await ann.get(f"/workflows/{workflow}"))["environments"] == {"production": 1}
    run = await ann.run(workflow, environment="production")
    assert (await ann.get(f"/runs/{run}"))["workflow_version"] == 1
    await ann.ask("PUT", path, json={"version": 2})
    run = await ann.run(workflow, environment="production")
    assert (await ann.get(f"/runs/{run}"))["workflow_version"] == 2
    topics = [each["topic"] for each in (await ann.get(f"/workflows/{workflow}/history"))["items"]]
    assert topics.count("workflow.environment_set.v1") == 2
    both = {"environment": "production", "version": 1}
    refused(await ann.ask("POST", f"/workflows/{workflow}/runs", json=both), 422)
    refused(await ann.ask("POST", f"/workflows/{workflow}/runs", json={"environment": "none"}), 404)
    refused(await ann.ask("PUT", path, json={"version": 3}), 404)
    refused(await ann.ask("PUT", path.replace("production", "Prod"), json={"version": 1}), 422)
    refused(await ann.ask("PUT", path, json={"version": 1}, headers={"If-Match": '"1"'}), 412)
    await ann.ask("DELETE", path)
    assert (await ann.get(f"/workflows/{workflow}"))["environments"] == {}
    refused(await ann.ask("POST", f"/workflows/{workflow}/runs", json={"environment": "production"}), 404)


async def test_ones_own_workflows_are_searched_and_sorted(ann: Person) -> None:
    for name, more in (
        ("banana 100%", {"tags": ["fruit", "yellow"]}),
        ("Apple", {"tags": ["fruit"], "description": "A green_one"}),
        ("cherry", {}),
        ("apple", {"description": "again"}),
    ):
        await ann.workflow(name, **more)

    async def found(query: str) -> list[str]:
        items: list[str] = []
        cursor = ""
        while True:
            page = await ann.get(f"/workflows?limit=2&{query}{cursor}")
            items += [each["name"] for each in page["items"]]
            if page["next_cursor"] is None:
                return items
            cursor = f"&cursor={page['next_cursor']}"

    assert await found("") == ["apple", "cherry", "Apple", "banana 100%"]
    assert await found("sort=created") == ["apple", "cherry", "Apple", "banana 100%"]
    assert [each.lower() for each in await found("sort=name")] == ["apple", "apple", "banana 100%", "cherry"]
    assert await found("tag=fruit") == ["Apple", "banana 100%"]
    assert await found("q=APPLE") == ["apple", "Apple"]
    assert await found("q=apple+green_one") == ["Apple"]
    assert await found("q=100%25") == ["banana 100%"]
    assert await found("q=%25") == ["banana 100%"]
    assert await found("q=_") == ["Apple"]
    assert await found("q=yellow&tag=fruit&sort=name") == ["banana 100%"]
    assert await found("q=nothing") == []
    for query in ("q=%00", "tag=%00", f"sort=name&cursor={uuid4()}.%00"):
        refused(await ann.ask("GET", f"/workflows?{query}"), 422)
    refused(await ann.ask("GET", "/workflows?sort=size"), 400)
    refused(await ann.ask("GET", "/workflows?sort=name&cursor=x"), 422)
