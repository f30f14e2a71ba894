"""Whatever is sent to whatever route, by whomever: the answer is one that the OpenAPI document describes."""

import asyncio
import json
import os
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from litestar.serialization import encode_json

from tests.fuzz.callers import Caller, callers
from tests.http.document import document
from tests.http.samples import sample
from tests.http.whole import Whole

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
PATIENCE_S = 60.0
ENDLESS = "/live"  # what streams until the run is over is asked by tests of its own
VERBS = ("get", "post", "put", "patch", "delete")
"""In the order in which they are tried: what is deleted is no more."""
DOCUMENT = json.loads(encode_json(document()))
OPERATIONS = [
    (verb.upper(), path)
    for verb in VERBS
    for path, found in DOCUMENT["paths"].items()
    if verb in found and not path.endswith(ENDLESS)
]

SOME = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@cache
def schema() -> Any:
    import schemathesis

    return schemathesis.openapi.from_dict(DOCUMENT)


@cache
def checks() -> list[Any]:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as openapi

    return [
        not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_headers_conformance,
        openapi.response_schema_conformance,
    ]


def cases(operation: Any) -> st.SearchStrategy[Any]:
    """What is sent: as the document asks for it, and not."""
    from schemathesis import GenerationMode

    return operation.as_strategy(generation_mode=GenerationMode.POSITIVE) | operation.as_strategy(
        generation_mode=GenerationMode.NEGATIVE
    )


@pytest.fixture(scope="module")
def everybody(served: Whole) -> dict[str, Caller]:
    return asyncio.run(callers(served))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_that_is_described(
    served: Whole, everybody: dict[str, Caller], method: str, path: str
) -> None:
    operation = schema()[path][method]
    for caller in everybody.values():
        caller.ready()

    @SOME
    @given(case=cases(operation), own=st.booleans(), data=st.data())
    def sent(case: Any, own: bool, data: st.DataObject) -> None:
        hasty(case, path)
        if own and (body := sample(method, path)):
            case.body, case.media_type = body, "application/json"
        for who, caller in everybody.items():
            for name in case.path_parameters if own else ():
                case.path_parameters[name] = data.draw(st.sampled_from(caller.named[name]))
            try:
                answer = case.call(
                    served.url, session=caller.session, timeout=PATIENCE_S, allow_redirects=False
                )
                case.validate_response(answer, checks=checks())
            except Exception as error:
                error.add_note(f"{who}: {method} {path}")
                raise

    sent()


def hasty(case: Any, path: str) -> None:
    """Nothing is waited for."""
    if path.endswith("/generate/sync"):
        case.query = {"wait_s": 0}
    if "Consistent-With" in (case.headers or {}):
        case.headers["Consistent-With"] = "1"
