"""The description of the API is complete, and true."""

from typing import Any

import pytest

from tests.http.person import GRAPH, Person
from tests.http.routes import table
from tests.http.whole import Whole

VERBS = {"get", "put", "post", "patch", "delete"}


@pytest.fixture
async def schema(nobody: Person) -> dict[str, Any]:
    answer = await nobody.http.get("/schema")
    assert answer.status_code == 200
    assert (await nobody.http.get("/schema/openapi.json")).json() == answer.json()
    return dict(answer.json())


def operations(schema: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (verb.upper(), path): operation
        for path, found in schema["paths"].items()
        for verb, operation in found.items()
        if verb in VERBS
    }


async def test_every_route_is_in_it_with_a_sentence(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    described = operations(schema)
    for method, route in table():
        path = "/api/v1" + "".join(
            piece if not piece.startswith("{") else piece.partition(":")[0] + "}"
            for piece in route.replace("{", "\0{").replace("}", "}\0").split("\0")
        )
        assert (method, path) in described, f"{method} {path}"
    for (method, path), operation in described.items():
        assert len(operation["description"]) > 5, f"{method} {path} says nothing"
        assert operation["tags"], f"{method} {path} belongs nowhere"


async def test_every_refusal_is_described_as_a_problem(schema: dict[str, Any]) -> None:
    for (method, path), operation in operations(schema).items():
        codes = set(operation["responses"])
        assert codes & {"200", "201", "202", "204", "303"}, f"{method} {path}"
        assert {"400", "503"} <= codes, f"{method} {path}"
        for code, answer in operation["responses"].items():
            if code >= "400":
                assert list(answer["content"]) == ["application/problem+json"], f"{method} {path} {code}"
        if "{" in path and path.startswith("/api"):
            assert "404" in codes, f"{method} {path}"
        if "requestBody" in operation:
            assert "415" in codes, f"{method} {path}"


def resolved(schema: dict[str, Any], part: Any) -> Any:
    """References followed; a dangling one is an error."""
    if isinstance(part, dict):
        if "$ref" in part:
            target: Any = schema
            for name in part["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            return resolved(schema, target)
        return {name: resolved(schema, value) for name, value in part.items()}
    if isinstance(part, list):
        return [resolved(schema, value) for value in part]
    return part


async def test_all_references_lead_somewhere(schema: dict[str, Any]) -> None:
    assert resolved(schema, schema["paths"])


async def test_bodies_have_examples_that_work(served: Whole, schema: dict[str, Any], ann: Person) -> None:
    described = operations(schema)

    def example(path: str) -> dict[str, Any]:
        content = described["POST", path]["requestBody"]["content"]["application/json"]
        fields = resolved(schema, content["schema"])["properties"]
        return {name: field["examples"][0] for name, field in fields.items() if field.get("examples")}

    joining = example("/api/v1/auth/register")
    assert joining.keys() == {"username", "email", "password"}
    made = example("/api/v1/workflows")
    assert made["graph"] == GRAPH
    workflow = await ann.post("/workflows", made)
    asked = example("/api/v1/workflows/{workflow}/runs")
    await ann.post(f"/workflows/{workflow['id']}/runs", asked)


async def test_what_a_route_asks_for_tells_what_it_may_refuse(schema: dict[str, Any]) -> None:
    described = operations(schema)
    fork = described["POST", "/api/v1/workflows/{workflow}/fork"]
    assert set(fork["responses"]) >= {"400", "401", "403", "404", "408", "409", "413", "415", "422", "503"}
    assert not fork["requestBody"].get("required"), "it may be left out"
    assert described["POST", "/api/v1/workflows"]["requestBody"]["required"]
    assert {"401", "403"} <= set(described["GET", "/api/v1/gallery"]["responses"]), "of a token that was sent"
    assert "412" in described["DELETE", "/api/v1/workflows/{workflow}"]["responses"]
    assert described["PATCH", "/api/v1/uploads/{upload}"]["responses"]["460"]["description"] == (
        "Checksum mismatch"
    )


NOTHING_KEPT = ("login", "refresh", "password/forgotten", "oidc/code")
"""What these do is in no event that a key could be kept with."""


async def test_the_headers_that_matter_are_described(schema: dict[str, Any]) -> None:
    described = operations(schema)

    def headers(method: str, path: str) -> set[str]:
        parameters = resolved(schema, described[method, path].get("parameters", []))
        return {each["name"] for each in parameters if each["in"] == "header"}

    for (method, path), operation in described.items():
        if method == "POST" and path.removeprefix("/api/v1/auth/") not in NOTHING_KEPT:
            assert "Idempotency-Key" in headers(method, path), f"{method} {path}"
        if method == "GET" and operation["tags"][0] in ("workflows", "runs") and not path.endswith("/live"):
            assert "Consistent-With" in headers(method, path), f"{method} {path}"
    assert "If-Match" in headers("PATCH", "/api/v1/workflows/{workflow}")
    assert "Last-Event-ID" in headers("GET", "/api/v1/runs/{run}/live")


async def test_what_needs_no_login_says_so(schema: dict[str, Any]) -> None:
    described = operations(schema)
    for path in ("/api/v1/auth/login", "/api/v1/auth/register", "/api/v1/auth/refresh"):
        assert described["POST", path]["security"] == [{}]
    for path in ("/api/v1/gallery", "/health", "/api/v1/outputs/{run}/{digest}/{name}"):
        assert described["GET", path]["security"] == [{}]
    assert schema["security"] == [{"bearer": []}, {"api_key": []}]
