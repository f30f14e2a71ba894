"""Texts in a graph's values."""

from collections.abc import Iterator
from typing import Any


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, however deep, in no order."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
