"""Bodies that routes take, found by method and address."""

import copy
import re
from typing import Any

from tests.http.test_bad_input import GOOD
from tests.http.test_bad_input import method as verb_of
from tests.http.test_isolation import BODIES


def plain(path: str) -> str:
    """The same for an address however its parameters are called."""
    return re.sub(r"{[^}]*}", "{}", path.partition("?")[0]).removeprefix("/api/v1")


TAKEN = {(verb_of(path), plain(path)): body for path, body in GOOD.items()} | {
    (method, plain(path)): body for (method, path), body in BODIES.items() if body
}


def sample(method: str, path: str) -> dict[str, Any]:
    """A body for the route; empty where the tables know none."""
    return copy.deepcopy(TAKEN.get((method, plain(path)), {}))
