"""docs/coverage.md names nothing that is not there."""

import re
from functools import cache
from pathlib import Path

import pytest

from adapters.http.gateway.mount import FIRST, SOCKET
from adapters.http.gateway.routes import TABLE
from tests.http.document import document

ROOT = Path(__file__).parents[2]
LINES = [
    line
    for line in (ROOT / "docs" / "coverage.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| asked for")
]
ROUTE = re.compile(r"`(GET|PUT|POST|PATCH|DELETE) (/[^` ]*)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@cache
def described() -> set[tuple[str, str]]:
    return {
        (verb.upper(), path.removeprefix("/api/v1"))
        for path, found in document()["paths"].items()
        for verb in found
    }


def of_comfyui(method: str, path: str) -> bool:
    """Whether it is one of ComfyUI's own addresses."""
    segments = path.strip("/").split("/")
    if segments[0] != FIRST:
        return False
    return segments[1:] == [SOCKET] or TABLE.find(method, segments[1:])[0] is not None


def test_there_is_something_to_check() -> None:
    assert len(LINES) > 60


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[1].strip())
def test_what_is_named_exists(line: str) -> None:
    asked, by, proof = (cell.strip() for cell in line.strip("|").split("|"))
    if by == "**missing**":
        assert not proof, f"{asked}: it is missing, and proved?"
        return
    routes, tests = ROUTE.findall(by), TEST.findall(proof)
    assert routes, f"{asked}: by no route"
    assert tests, f"{asked}: proved by no test"
    for route in routes:
        assert route in described() or of_comfyui(*route), f"{asked}: there is no route {' '.join(route)}"
    for file, name in tests:
        text = (ROOT / file).read_text()
        assert not name or re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{file} has no {name}"
