"""Who is asking, and with what: access token, idempotency key, the position they have seen."""

from typing import Annotated, Any, TypeAlias
from uuid import UUID

from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter

from adapters.http.parts import Ended, Parts
from adapters.http.problems import Malformed
from adapters.http.reads import Reader
from commands.api_keys import KeyHolder, holder
from commands.ports import Outdated, RequestKey
from commands.streams import OUTDATED, Context
from domain.account import ACCOUNT, SESSION_OVER
from domain.api_key import Scope
from domain.ids import AccountId, Actor, SessionId, account_actor
from domain.refusals import NotAllowed, NotAuthenticated

ANONYMOUS = account_actor(AccountId(UUID(int=0)))
MAX_KEY = 255
API_KEY_HEADER = "x-api-key"
API_KEY_BEGINS = "cpk_"
NO_SESSION = SessionId(UUID(int=0))
BY_KEY = "by_key"
"""A route's option: programs may come with an API key. True: with `read` or `write`, by the method; else any of these
scopes. Without it only people may come: what makes keys, or ends accounts, is not for programs."""
NO_SUCH_KEY = "This API key is unknown, expired or revoked."
NOT_BY_KEY = "Programs may not do this. Please log in and send an access token."
PLEASE_LOG_IN = "Please log in and send the access token as 'Authorization: Bearer ...'."


IdempotencyKey: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="Any text of your own, new for each wish. The same request under the same key has one "
        "effect and one answer, however often it is sent.",
    ),
]
ConsistentWith: TypeAlias = Annotated[
    str,
    HeaderParameter(
        name="Consistent-With",
        description="The `position` of your last write: the answer is not older than that.",
    ),
]
IfMatch: TypeAlias = Annotated[
    str, HeaderParameter(name="If-Match", description="The ETag that you have seen; else 412.")
]


class Caller:
    """An account that has shown a valid access token, or one of whose programs has shown its API key.

    `session` is nobody's where it was a key.
    """

    __slots__ = ("account", "epoch", "key", "session")

    def __init__(
        self,
        account: AccountId,
        session: SessionId = NO_SESSION,
        epoch: int = 0,
        *,
        key: KeyHolder | None = None,
    ) -> None:
        self.account = account
        self.session = session
        self.epoch = epoch
        self.key = key

    def is_over(self, ended: Ended) -> bool:
        """Whether what was shown opens nothing any more."""
        if self.key is not None:
            return ended.is_over(self.account, self.key.key)
        return ended.is_over(self.account, self.session, self.epoch)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return () if self.key is None else self.key.scopes


def parts(request: Request[Any, Any, Any]) -> Parts:
    found: Parts = request.app.state.parts
    return found


async def caller(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Caller:
    """Raises NotAuthenticated, also at once after the session has ended or the account was erased; NotAllowed.

    `parts` comes as a dependency, so that Litestar gives one after the other: to give two at once it starts a task
    for each, which costs more than all the rest.
    """
    if (text := _api_key(request)) is not None:
        return await _program(request, parts, text)
    shown = _shown(request, parts)
    if shown.is_over(parts.ended):
        raise NotAuthenticated(SESSION_OVER)
    return shown


def leaver(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Caller:
    """Who ends a session may say so twice. Raises NotAuthenticated."""
    shown = _shown(request, parts)
    if parts.ended.is_over(shown.account):
        raise NotAuthenticated(SESSION_OVER)
    return shown


async def administrator(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> Caller:
    """Raises NotAllowed. Asked of the log each time: a role that was taken away is gone at once."""
    if caller.key is not None:
        raise NotAllowed(NOT_BY_KEY)
    state, _ = await parts.commands.needs.streams.load(ACCOUNT, caller.account)
    if not state.administers:
        raise NotAllowed("Only an administrator may do this.")
    return caller


async def moderator(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> Caller:
    """Raises NotAllowed. Asked of the log each time, as for an administrator, who is one as well."""
    if caller.key is not None:
        raise NotAllowed(NOT_BY_KEY)
    state, _ = await parts.commands.needs.streams.load(ACCOUNT, caller.account)
    if not state.moderates:
        raise NotAllowed("Only a moderator may do this.")
    return caller


async def context(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], idempotency_key: IdempotencyKey = None
) -> Context:
    """A command's envelope; a request with an Idempotency-Key is told from others by method, path and body."""
    actor = account_actor(caller.account)
    key = await _request_key(request, actor, idempotency_key)
    return Context(actor=actor, correlation=parts(request).new_id(), key=key)


async def leaving_context(
    request: Request[Any, Any, Any], leaver: NamedDependency[Caller], idempotency_key: IdempotencyKey = None
) -> Context:
    return await context(request, leaver, idempotency_key)


async def joining_context(request: Request[Any, Any, Any], idempotency_key: IdempotencyKey = None) -> Context:
    """For whoever is not known yet."""
    key = await _request_key(request, ANONYMOUS, idempotency_key)
    return Context(actor=ANONYMOUS, correlation=parts(request).new_id(), key=key)


def anonymous_context(request: Request[Any, Any, Any]) -> Context:
    """Without a key: tokens are never given out a second time."""
    return Context(actor=ANONYMOUS, correlation=parts(request).new_id())


async def reader(request: Request[Any, Any, Any], consistent_with: ConsistentWith = "0") -> Reader:
    """The read models as the caller may see them, not older than Consistent-With. Raises NotYet."""
    known = "authorization" in request.headers or API_KEY_HEADER in request.headers
    who = (await caller(request, parts(request))).account if known else None
    return Reader(parts(request).reads, who, _position(consistent_with))


def overseer(
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    consistent_with: ConsistentWith = "0",
) -> Reader:
    """The read models as an administrator may see them. Raises NotYet."""
    return Reader(parts.reads, administrator.account, _position(consistent_with), overseeing=True)


def judge(
    parts: NamedDependency[Parts],
    moderator: NamedDependency[Caller],
    consistent_with: ConsistentWith = "0",
) -> Reader:
    """The read models as a moderator may see them. Raises NotYet."""
    return Reader(parts.reads, moderator.account, _position(consistent_with), moderating=True)


def _position(consistent_with: str) -> int:
    if not consistent_with.isascii() or not consistent_with.isdigit() or len(consistent_with) > 18:
        raise Malformed("Consistent-With must be a position, as a command's answer gives it.")
    return int(consistent_with)


def expected(if_match: IfMatch = "*") -> int | None:
    """The revision in If-Match; None for any. Raises Outdated for an ETag that no revision of ours ever had."""
    etag = if_match.strip()
    if etag == "*":
        return None
    number = etag.strip('"')
    if etag != f'"{number}"' or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Outdated(OUTDATED)
    return int(number)


async def visitor(token: str, parts: Parts) -> Caller:
    """Whoever shows an access token or an API key that may read, where there is no request. Raises as `caller`."""
    if token.startswith(API_KEY_BEGINS):
        key = await holder(token, parts.commands.needs)
        if key is None:
            raise NotAuthenticated(NO_SUCH_KEY)
        if Scope.READ not in key.scopes:
            raise NotAllowed(f"This key lacks the scope {Scope.READ}.")
        return Caller(key.account, key=key)
    return by_access_token(token, parts)


def by_access_token(token: str, parts: Parts) -> Caller:
    """Raises NotAuthenticated."""
    access = parts.signatures.read_access_token(token)
    shown = Caller(access.account, access.session, access.epoch)
    if shown.is_over(parts.ended):
        raise NotAuthenticated(SESSION_OVER)
    return shown


def _api_key(request: Request[Any, Any, Any]) -> str | None:
    if (text := request.headers.get(API_KEY_HEADER)) is not None:
        return text
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if token.lstrip().startswith(API_KEY_BEGINS) and kind.lower() == "bearer" else None


async def _program(request: Request[Any, Any, Any], parts: Parts, text: str) -> Caller:
    """Raises NotAuthenticated, NotAllowed."""
    key = await holder(text, parts.commands.needs)
    if key is None:
        raise NotAuthenticated(NO_SUCH_KEY)
    if not (needed := request.route_handler.opt.get(BY_KEY)):
        raise NotAllowed(NOT_BY_KEY)
    if needed is True:
        needed = (Scope.READ,) if request.method in ("GET", "HEAD") else (Scope.WRITE,)
    if not set(needed) & set(key.scopes):
        raise NotAllowed(f"This key lacks the scope {' or '.join(needed)}.")
    return Caller(key.account, key=key)


def _shown(request: Request[Any, Any, Any], parts: Parts) -> Caller:
    """Whom the access token speaks for."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise NotAuthenticated(PLEASE_LOG_IN)
    access = parts.signatures.read_access_token(token.strip())
    return Caller(access.account, access.session, access.epoch)


async def _request_key(request: Request[Any, Any, Any], actor: Actor, key: str | None) -> RequestKey | None:
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise Malformed(f"An Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters.")
    body = await request.body()
    asked = f"{request.method} {request.scope['path']}\n".encode() + body
    return RequestKey(actor, key, parts(request).signatures.request_hash(asked))


DEPENDENCIES = {
    "parts": Provide(parts, sync_to_thread=False),
    "caller": Provide(caller),
    "leaver": Provide(leaver, sync_to_thread=False),
    "administrator": Provide(administrator),
    "moderator": Provide(moderator),
    "context": Provide(context),
    "leaving_context": Provide(leaving_context),
    "anonymous_context": Provide(anonymous_context, sync_to_thread=False),
    "joining_context": Provide(joining_context),
    "expected": Provide(expected, sync_to_thread=False),
    "reader": Provide(reader),
    "overseer": Provide(overseer, sync_to_thread=False),
    "judge": Provide(judge, sync_to_thread=False),
}
