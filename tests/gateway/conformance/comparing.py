"""Two servers' answers held against each other, field by field; ids, times and what nobody relies on aside."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Answers: TypeAlias = list[tuple[str, Any]]
"""What a scenario was answered, each with a word for it."""

TIMES = {"timestamp", "create_time", "execution_start_time", "execution_end_time"}
MACHINES = {"traceback"}
"""What a server tells of its insides: that it is there is all that is compared."""


def plain(value: Any, names: Mapping[str, str]) -> Any:
    """The same for every server. `names`: what ids are called here."""
    if isinstance(value, dict):
        return {names.get(key, key): _field(key, each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, names) for each in value]
    if isinstance(value, str):
        return names.get(value, value)
    return value


def differences(first: Any, second: Any, at: str = "") -> Iterator[str]:
    """Where two answers differ, a line each."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in [*first, *(key for key in second if key not in first)]:
            where = f"{at}.{key}" if at else str(key)
            if key not in first or key not in second:
                yield f"{where}: {first.get(key, 'nothing')!r} is not {second.get(key, 'nothing')!r}"
            else:
                yield from differences(first[key], second[key], where)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from differences(one, other, f"{at}[{number}]")
    elif first != second or isinstance(first, bool) != isinstance(second, bool):
        yield f"{at}: {first!r} is not {second!r}"


def unexplained(first: Answers, second: Answers, known: Mapping[str, str]) -> list[str]:
    """`known`: deviations that are meant, a pattern of such lines with the reason for each."""
    found = differences(dict(first), dict(second))
    return [line for line in found if not any(re.match(pattern, line) for pattern in known)]


def _field(key: str, value: Any, names: Mapping[str, str]) -> Any:
    if key in TIMES and isinstance(value, int | float):
        return "a time"
    if key in MACHINES:
        return "told" if isinstance(value, list) else value
    return plain(value, names)
