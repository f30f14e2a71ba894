"""The OpenAPI document, made once for all who look at it: it takes seconds."""

from functools import cache
from typing import Any

from adapters.http.app import described


@cache
def document() -> dict[str, Any]:
    return described()
