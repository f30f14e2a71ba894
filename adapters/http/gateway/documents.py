"""What clients sent with their prompts, kept beside the log: the same documents are asked for again and again."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from adapters.http.parts import Parts
from domain.ids import Digest
from projections.prompts import PromptRow
from workflows.graph import is_link

REMEMBERED_BYTES = 32 * 1024 * 1024


class Documents:
    """Of one process. What is asked for stands in a row that its account may see."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    async def of(self, rows: Iterable[PromptRow]) -> dict[str, msgspec.Raw]:
        """The graphs of these prompts, and what was sent along with them, by digest."""
        digests = {digest for row in rows for digest in (row.graph, row.extra) if digest}
        bodies = await asyncio.gather(*map(self._get, digests))
        return {
            digest: msgspec.Raw(body)
            for digest, body in zip(digests, bodies, strict=True)
            if body is not None
        }

    async def _get(self, digest: str) -> bytes | None:
        if (known := self._known.get(digest)) is not None:
            self._known.move_to_end(digest)
            return known
        body = await self._parts.commands.needs.contents.get(Digest(digest))
        if body is not None and digest not in self._known:
            self._known[digest] = body
            self._size += len(body)
            while self._size > REMEMBERED_BYTES:
                _, oldest = self._known.popitem(last=False)
                self._size -= len(oldest)
        return body


def graph_of(row: PromptRow, found: Mapping[str, msgspec.Raw]) -> msgspec.Raw:
    return found.get(row.graph, msgspec.Raw(b"{}"))


def extra_of(row: PromptRow, found: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    body = found.get(row.extra or "")
    return {} if body is None else msgspec.json.decode(body, type=dict[str, msgspec.Raw])


def last_nodes(graph: msgspec.Raw) -> tuple[str, ...]:
    """Those that no other node takes anything from: as far as one can tell without their classes, the output nodes."""
    nodes: dict[str, Any] = msgspec.json.decode(graph)
    taken = {value[0] for node in nodes.values() for value in _inputs(node).values() if is_link(value)}
    return tuple(node for node in nodes if node not in taken)


def _inputs(node: Any) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}
