"""Random JSON in every body, random words in queries, forms and sockets: a refusal, never a fault."""

import copy
import json
import string
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from adapters.http.sockets import MISBEHAVED
from tests.http.person import GRAPH, png
from tests.http.routes import table
from tests.http.test_bad_input import GOOD, method
from tests.http.whole import Whole

EXAMPLES = 40
QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = [
    "graph",
    "name",
    "inputs",
    "class_type",
    "nodes",
    "links",
    "_meta",
    "1",
    "2",
    "tags",
    "topic",
    "",
    "__value__",
]

words = st.text(max_size=12) | st.sampled_from([*NAMES, "\u0000", "\ud7ff", "\uffff", "🙂", "x" * 300])
numbers = st.integers() | st.floats(allow_nan=False) | st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400])
leaves = st.none() | st.booleans() | numbers | words
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)

PNG = png()
PIECES = [
    *(b"--b\r\n", b"--b--\r\n", b"\r\n\r\n", b"\r\n", PNG),
    b'Content-Disposition: form-data; name="image"; filename="a.png"\r\n',
    *(b"Content-Disposition: form-data\r\n", b"Content-Type: image/png\r\n", b"Content-Length: -1\r\n"),
]
PATIENCE_S = 20.0
NORMAL = 1000
NOWHERE = str(uuid4())
ops = st.sampled_from(["subscribe", "unsubscribe", "login", ""]) | words
st_wishes = {
    "run": st.sampled_from([str(uuid4()), "x"]) | leaves,
    "all": st.booleans() | leaves,
    "after": numbers | leaves,
    "token": words,
}


@pytest.fixture(scope="module")
def http(served: Whole) -> Any:
    with httpx.Client(base_url=f"{served.url}/api/v1", timeout=30, trust_env=False) as client:
        name = f"f-{uuid4().hex[:10]}"
        asked = {"username": name, "email": f"{name}@example.org", "password": "correct horse"}
        assert client.post("/auth/register", json=asked).status_code == 201
        tokens = client.post("/auth/login", json={"login": name, "password": "correct horse"}).json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield client


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a document: its container and its key."""
    found: list[tuple[Any, Any]] = []
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        found += [(value, key), *places(value[key])]
    return found


def answered(answer: httpx.Response) -> None:
    assert answer.status_code < 500, f"{answer.request.content!r}: {answer.text}"
    if answer.is_error:
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        assert answer.json()["status"] == answer.status_code


@pytest.mark.parametrize("path", GOOD)
def test_no_body_is_a_fault(http: httpx.Client, path: str) -> None:
    created = http.post("/workflows", json={"name": "fuzz", "graph": GRAPH}).json()["id"]

    @QUIET
    @given(data=st.data())
    def sent(data: st.DataObject) -> None:
        body = copy.deepcopy(GOOD[path])
        for _ in range(data.draw(st.integers(1, 3))):
            container, key = data.draw(st.sampled_from(places(body)))
            container[key] = data.draw(documents)
        encoded = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        answered(http.request(method(path), path.format(w=created), content=encoded, headers=headers))

    sent()


@QUIET
@given(path=st.sampled_from(sorted(GOOD)), body=st.binary(max_size=60))
def test_no_bytes_are_a_fault(http: httpx.Client, path: str, body: bytes) -> None:
    where = path.format(w=uuid4())
    answered(http.request(method(path), where, content=body, headers={"Content-Type": "application/json"}))


ROUTES = [route for route in table() if not route[1].endswith("/live")]
QUERIES = ["limit", "cursor", "status", "workflow", "expires", "signature", "media_type"]
printable = st.text(string.printable + "\u0000üé🙂", max_size=20)


@QUIET
@given(
    route=st.sampled_from(ROUTES),
    id=st.sampled_from([str(uuid4()), "x", "%00", "%ff%fe", "..", "%2e", "9" * 40]),
    asked=st.dictionaries(
        st.sampled_from(["limit", "cursor", "status", "workflow", "expires", "signature"]), printable
    ),
    named=st.dictionaries(
        st.sampled_from(
            ["Idempotency-Key", "Consistent-With", "If-Match", "Last-Event-ID", "Accept", "Range"]
        ),
        st.text(string.ascii_letters + string.digits + '"*-,;=/ ', max_size=20).map(str.strip),
    ),
)
def test_no_query_and_no_header_is_a_fault(
    http: httpx.Client, route: tuple[str, str], id: str, asked: dict[str, str], named: dict[str, str]
) -> None:
    verb, path = route
    for parameter in (
        "{webhook:uuid}",
        "{delivery:uuid}",
        "{workflow:uuid}",
        "{run:uuid}",
        "{digest:str}",
        "{name:str}",
        "{number:int}",
    ):
        path = path.replace(parameter, id)
    if named.get("Consistent-With", "").isdigit():
        named = named | {"Consistent-With": "1"}  # what lies ahead would be waited for
    answered(http.request(verb, path, params=asked, headers=named))


@QUIET
@given(
    body=st.binary(max_size=80),
    field=words,
    name=words,
    kind=st.sampled_from(["image/png", "", "x", "text/plain"]),
)
def test_no_upload_is_a_fault(http: httpx.Client, body: bytes, field: str, name: str, kind: str) -> None:
    files = {field: (name, PNG[: len(body)] + body, kind)}
    request = http.build_request("POST", "/inputs", files=files)
    request.read()
    answered(http.send(request))


@QUIET
@given(
    head=st.sampled_from(
        ["multipart/form-data", "multipart/form-data; boundary=b", "multipart/form-data; boundary="]
    ),
    pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=8),
)
def test_no_form_is_a_fault(http: httpx.Client, head: str, pieces: list[bytes]) -> None:
    answered(http.post("/inputs", content=b"".join(pieces), headers={"Content-Type": head}))


@QUIET
@given(
    said=st.lists(
        documents.map(json.dumps)
        | st.fixed_dictionaries({"op": ops}, optional=st_wishes).map(json.dumps)
        | words
        | st.binary(max_size=40),
        max_size=6,
    )
)
def test_nothing_that_is_said_over_a_socket_is_a_fault(
    served: Whole, http: httpx.Client, said: list[str | bytes]
) -> None:
    """It is answered as a problem, or the socket is closed for misbehaving: never by a fault."""
    url = served.url.replace("http:", "ws:") + "/api/v1/live"
    token = {"Authorization": http.headers["Authorization"]}
    with connect(url, additional_headers=token, proxy=None) as socket:
        assert json.loads(socket.recv(PATIENCE_S))["type"] == "ready"
        with suppress(ConnectionClosed):
            for each in said:
                socket.send(each)
            socket.send(json.dumps({"op": "subscribe", "run": NOWHERE}))
            while (told := json.loads(socket.recv(PATIENCE_S))).get("run") != NOWHERE:
                assert told["type"] in ("problem", "subscribed", "unsubscribed", "state")
            assert told["type"] == "problem"
            socket.close()
    assert socket.protocol.close_code in (NORMAL, MISBEHAVED)
