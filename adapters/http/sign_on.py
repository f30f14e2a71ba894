"""Logging in by a provider: there and back again in a browser."""

import re
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Request, Response, Router, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.auth import Moved, client
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.sessions import Current
from commands.accounts import Tokens
from commands.sign_on import (
    OVER,
    BeginLink,
    BeginSignOn,
    FinishSignOn,
    FinishWithCode,
    SignedOn,
    Unlink,
    known_provider,
)
from commands.streams import Context
from domain.ids import Position
from domain.refusals import NotAuthenticated

COOKIE = "comfyplus_sign_on"
FOR_PAGE = "comfyplus_sign_on_for_page"
"""Holds the state of a log-in that was begun at the editor's page, which then goes on there."""
PAGE = "/editor/signed-on"
PATH = "/api/v1/auth/oidc"
OURS = re.compile(r"[A-Za-z0-9_-]{43}")
LIVES_S = 3600
LONGEST = 4_096
NOT_LET_IN = "The provider did not let you in."

State = Annotated[str, Meta(min_length=1, max_length=200, description="As the provider sent it back.")]


class ProviderAnswer(Struct, frozen=True):
    """`url`: where a browser is to be sent to."""

    label: str
    url: str


class ProviderList(Struct, frozen=True):
    items: list[ProviderAnswer]


class LinkBody(Struct, frozen=True, forbid_unknown_fields=True):
    password: Current


class LinkAnswer(Struct, frozen=True):
    """`url`: where the browser is to go; the same one, as it is known by a cookie."""

    url: str


class CodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    state: State
    code: Annotated[
        str,
        Meta(
            min_length=1, max_length=40, description="Of the device, or a recovery code.", examples=["123456"]
        ),
    ]


class SignedOnAnswer(Struct, frozen=True):
    """`tokens`: null where an identity was linked to the account that had begun it."""

    position: Position
    tokens: Tokens | None


@get("/auth/providers", security=ANYBODY, responses=answers(200, ProviderList))
async def providers(parts: NamedDependency[Parts]) -> ProviderList:
    """By whom one can log in beside by password: for the buttons of a page."""
    known = parts.commands.needs.provider
    return ProviderList([] if known is None else [ProviderAnswer(known.label, parts.public_url + PATH)])


@get("/auth/oidc", security=ANYBODY, status_code=303, responses=answers(303, None, 404, 429))
async def begin(
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    anonymous_context: NamedDependency[Context],
) -> Response[None]:
    """Go to the provider to log in. It sends the browser back to `/auth/oidc/callback`."""
    browser = _browser(request, parts)
    wish = BeginSignOn(browser=browser, address=client(request).address)
    url: str = await parts.commands.run(wish, anonymous_context)
    return Response(
        None,
        status_code=303,
        headers={"Location": url},
        cookies=[_cookie(browser, parts)],
        media_type="text/plain",
    )


@post(
    "/auth/oidc/link",
    dto=StrictBody[LinkBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, LinkAnswer, 401, 403, 404, 409, 415, 422, 429),
)
async def begin_link(
    request: Request[Any, Any, Any],
    data: JSONBody[LinkBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[LinkAnswer]:
    """Let yourself be let in by the provider from now on: send the browser to `url`."""
    browser = _browser(request, parts)
    wish = BeginLink(account=caller.account, session=caller.session, password=data.password, browser=browser)
    url: str = await parts.commands.run(wish, context)
    return Response(LinkAnswer(url), status_code=200, cookies=[_cookie(browser, parts)])


@get(
    "/auth/oidc/callback",
    security=ANYBODY,
    responses=answers(200, SignedOnAnswer, 401, 403, 404, 409, 429),
)
async def callback(
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    anonymous_context: NamedDependency[Context],
    code: FromQuery[str] = "",
    begun: Annotated[str, QueryParameter(name="state")] = "",  # `state` is a word of Litestar's own
) -> Response[SignedOnAnswer | None]:
    """Where the provider sends the browser back to. Tokens, or an identity linked.

    303 to the editor's page where that has begun it.

    401 of the type `code-needed`: `POST /auth/oidc/code` with the code of the second factor. 409: an account has the
    address already.
    """
    known_provider(parts.commands.needs)
    if begun and request.cookies.get(FOR_PAGE, "") == begun:
        query = urlencode({"state": begun, "code": code})
        return Response(
            None, status_code=303, headers={"Location": f"{PAGE}?{query}"}, media_type="text/plain"
        )
    if not code or not begun or len(code) > LONGEST or len(begun) > LONGEST:
        raise NotAuthenticated(NOT_LET_IN)
    wish = FinishSignOn(browser=_known_browser(request), state=begun, code=code, client=client(request))
    return Response(_answer(await parts.commands.run(wish, anonymous_context)))


@post(
    "/auth/oidc/code",
    dto=StrictBody[CodeBody],
    return_dto=None,
    status_code=200,
    security=ANYBODY,
    responses=answers(200, SignedOnAnswer, 401, 403, 415, 422, 429),
)
async def finish(
    request: Request[Any, Any, Any],
    data: JSONBody[CodeBody],
    parts: NamedDependency[Parts],
    anonymous_context: NamedDependency[Context],
) -> SignedOnAnswer:
    """Go on with the code of the second factor."""
    wish = FinishWithCode(
        browser=_known_browser(request), state=data.state, code=data.code, client=client(request)
    )
    return _answer(await parts.commands.run(wish, anonymous_context))


@delete(
    "/auth/oidc/link",
    dto=StrictBody[LinkBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 403, 409, 415, 422, 429),
)
async def remove_link(
    data: JSONBody[LinkBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Be let in by the provider no more. 409: you have no password, and could not log in at all."""
    wish = Unlink(account=caller.account, session=caller.session, password=data.password)
    return Moved((await parts.commands.run(wish, context)).position)


def _answer(done: SignedOn) -> SignedOnAnswer:
    return SignedOnAnswer(done.accepted.position, done.tokens)


def _browser(request: Request[Any, Any, Any], parts: Parts) -> str:
    """The browser's secret: the one that it has, so that log-ins in two windows do not end each other."""
    known = request.cookies.get(COOKIE, "")
    return known if OURS.fullmatch(known) else parts.commands.needs.secrets.random_token()


def _known_browser(request: Request[Any, Any, Any]) -> str:
    """Raises NotAuthenticated."""
    known = request.cookies.get(COOKIE, "")
    if not OURS.fullmatch(known):
        raise NotAuthenticated(OVER)
    return known


def _cookie(browser: str, parts: Parts) -> Cookie:
    """Sent with the way back from the provider, as that is a link; with nothing that another page asks of us."""
    return Cookie(
        key=COOKIE,
        value=browser,
        path=PATH,
        max_age=LIVES_S,
        httponly=True,
        secure=parts.public_url.startswith("https:"),
        samesite="lax",
    )


ROUTER = Router(
    "/", route_handlers=[providers, begin, begin_link, callback, finish, remove_link], tags=["auth"]
)
