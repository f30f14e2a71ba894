"""Blocked words, for administrators."""

from typing import Annotated

from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.queue import Reason
from commands.streams import Context
from commands.words import SetWords
from domain.words import WORDS, WORDS_ID

Blocked = Annotated[tuple[str, ...], Meta(description="Words, or several in a row.", examples=[["buy now"]])]


class WordsBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of them, from now on."""

    blocked: Blocked
    reason: Reason


class WordsAnswer(Struct, frozen=True):
    blocked: Blocked


@get("/words", responses=answers(200, WordsAnswer, 401, 403))
async def show(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> WordsAnswer:
    """The words that are not allowed in what everybody may read."""
    state, _ = await parts.commands.needs.streams.load(WORDS, WORDS_ID)
    return WordsAnswer(state.blocked)


@put(
    "/words",
    dto=StrictBody[WordsBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 403, 409, 415, 422),
)
async def set_words(
    data: JSONBody[WordsBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Say anew which words those are. What stands somewhere already stays, until it is changed or published again."""
    wish = SetWords(blocked=data.blocked, reason=data.reason)
    return Moved((await parts.commands.run(wish, context)).position)


ADMIN = Router("/admin", route_handlers=[show, set_words], tags=["admin"])
