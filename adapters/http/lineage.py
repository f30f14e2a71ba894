"""Where a workflow comes from, and what has become of it."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.reads import Reader, json_response
from adapters.http.versions import NO_WORKFLOW
from adapters.http.workflow_answers import LineageAnswer
from projections import workflow_shelf

MAX_DESCENDANTS = 200


class _Kin(Struct):
    """One that may be seen. `line`: the ids of all that it comes from, the nearest last."""

    workflow: msgspec.Raw
    line: list[UUID]


class _Found(Struct):
    asked: _Kin
    ancestors: list[_Kin]
    descendants: list[_Kin]


class _Named(Struct):
    id: UUID


@get("/workflows/{workflow:uuid}/lineage", security=ANYBODY, responses=answers(200, LineageAnswer, 404, 422))
async def show(workflow: FromPath[UUID], reader: NamedDependency[Reader]) -> Response[bytes]:
    """What a workflow was forked from, up to a hundred forks back, and up to 200 that were forked from it, and so on.

    Of what is not yours to see only the place in the tree is told, and only where it lies between others.
    """
    row = await reader.one(workflow_shelf.lineage, workflow, MAX_DESCENDANTS, missing=NO_WORKFLOW)
    found = msgspec.json.decode(row, type=_Found)
    return json_response(msgspec.json.encode(_tree(workflow, found)))


def _tree(asked: UUID, found: _Found) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    places: dict[UUID, int] = {}
    shown = {_id(kin): kin.workflow for kin in (found.asked, *found.ancestors)}

    def stand(id: UUID, parent: int | None, workflow: msgspec.Raw | None) -> int:
        if id not in places:
            places[id] = len(items)
            items.append({"parent": parent, "workflow": workflow})
        return places[id]

    place = None
    for id in (*found.asked.line, asked):
        place = stand(id, place, shown.get(id))
    for kin in found.descendants[:MAX_DESCENDANTS]:  # as they came into being: a parent before its children
        place = places[asked]
        for between in kin.line[kin.line.index(asked) + 1 :]:
            place = stand(between, place, None)
        stand(_id(kin), place, kin.workflow)
    more = len(found.descendants) > MAX_DESCENDANTS
    return {"asked": places[asked], "items": items, "more": more}


def _id(kin: _Kin) -> UUID:
    return msgspec.json.decode(kin.workflow, type=_Named).id


ROUTER = Router("/", route_handlers=[show], tags=["workflows"])
