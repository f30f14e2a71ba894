"""Logging in and out at a page: forms, answered with a page or with the way on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from urllib.parse import parse_qs, urlsplit

from msgspec.structs import replace

from adapters.http.auth import client_of
from adapters.http.editor import cookies, pages
from adapters.http.editor.answers import onward, page
from adapters.http.gateway.call import Answer, Call, Handler, json
from adapters.http.gateway.identity import COOKIE, CROSS_SITE, by_cookie, cookie, same_origin
from adapters.http.gateway.refusals import REFUSALS, SAID
from adapters.http.parts import Parts
from adapters.http.problems import RETRY_AFTER_S, STATUS, Malformed, WrongMediaType
from adapters.http.sign_on import FOR_PAGE
from adapters.http.sign_on import PATH as SIGN_ON_PATH
from commands.accounts import Client, LogOut, RegisterAccount, Tokens
from commands.in_two_steps import BeginLogIn, FinishLogIn, HalfWay
from commands.known_accounts import known
from commands.sign_on import OVER, BeginSignOn, FinishSignOn, FinishWithCode
from commands.streams import Context
from domain.ids import AccountId, account_actor
from domain.refusals import CodeNeeded, DomainError, Invalid, NotAllowed, NotAuthenticated, TooMany

FORM_BYTES = 16 * 1024
FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 20
NO_LINK = "The provider has let you in, but not to log in here. Please begin again."


def form(
    again: Callable[[Mapping[str, str], str, Sequence[str], Call], Awaitable[str]],
) -> Callable[..., Handler]:
    """A handler of a form; refused, it is answered with what `again` makes: the form, with what is wrong with it."""

    def decorate(handle: Callable[[Call, Mapping[str, str]], Awaitable[Answer]]) -> Handler:
        @wraps(handle)
        async def handler(call: Call) -> Answer:
            fields: Mapping[str, str] = {}
            try:
                if not same_origin(call.headers, "POST", call.parts.public_url):
                    raise NotAllowed(CROSS_SITE)
                fields = await _fields(call)
                return await handle(call, fields)
            except REFUSALS as error:
                return await refused(error, lambda said, faults: again(fields, said, faults, call))

        return handler

    return decorate


async def refused(error: Exception, again: Callable[[str, Sequence[str]], Awaitable[str]]) -> Answer:
    """One of REFUSALS."""
    status = next(STATUS[kind][0] for kind in type(error).__mro__ if kind in STATUS)
    said = next((text for kind, text in SAID.items() if isinstance(error, kind)), str(error))
    faults = [each.reason for each in error.errors] if isinstance(error, Invalid) else []
    answer = page(await again(said, faults), status)
    wait = str(error.retry_after_s) if isinstance(error, TooMany) else RETRY_AFTER_S if status == 503 else ""
    return replace(answer, headers=(*answer.headers, (b"retry-after", wait.encode()))) if wait else answer


async def log_in_again(fields: Mapping[str, str], said: str, faults: Sequence[str], call: Call) -> str:
    again = bool(fields.get("again"))
    return pages.log_in(said=said, login=fields.get("login", ""), provider=_provider(call), again=again)


async def join_again(fields: Mapping[str, str], said: str, faults: Sequence[str], call: Call) -> str:
    return pages.join(
        said=said, faults=faults, username=fields.get("username", ""), email=fields.get("email", "")
    )


async def code_again(fields: Mapping[str, str], said: str, faults: Sequence[str], call: Call) -> str:
    return pages.code(said=said, state=fields.get("state", ""), again=bool(fields.get("again")))


async def log_in_page(call: Call) -> Answer:
    """Who is logged in goes on to the editor."""
    again = "again" in call.query
    try:
        await by_cookie(cookie(call.headers, COOKIE), call.parts)
        return onward("again" if again else "./")
    except DomainError:
        return page(pages.log_in(provider=_provider(call), again=again))


@form(log_in_again)
async def log_in(call: Call, fields: Mapping[str, str]) -> Answer:
    wish = BeginLogIn(
        login=fields.get("login", ""), password=fields.get("password", ""), client=_client(call)
    )
    done: Tokens | HalfWay = await call.parts.commands.run(wish, call.context())
    if isinstance(done, HalfWay):
        code = "code?again" if fields.get("again") else "code"
        return onward(code, cookies.of_half_way(done, call.parts))
    return _entered(done, fields, call)


async def code_page(call: Call) -> Answer:
    return page(pages.code(again="again" in call.query))


@form(code_again)
async def send_code(call: Call, fields: Mapping[str, str]) -> Answer:
    """Of the second factor: after a password, or after a provider, who gave a `state`."""
    code = fields.get("code", "")
    if state := fields.get("state", ""):
        browser = _browser(call)
        wish = FinishWithCode(browser=browser, state=state, code=code, client=_client(call))
        return _signed_on((await call.parts.commands.run(wish, call.context())).tokens, fields, call)
    token = cookie(call.headers, cookies.HALF_WAY)
    half_way = call.parts.signatures.read_half_way_token(token, call.parts.now())
    finish = FinishLogIn(account=half_way.account, epoch=half_way.epoch, code=code, client=_client(call))
    tokens: Tokens = await call.parts.commands.run(finish, call.context())
    return _entered(tokens, fields, call, cookies.gone(cookies.HALF_WAY, call.parts, cookies.HERE))


async def join_page(call: Call) -> Answer:
    return page(pages.join())


@form(join_again)
async def join(call: Call, fields: Mapping[str, str]) -> Answer:
    """An account, and logged in to it at once."""
    username, email, password = (fields.get(name, "") for name in ("username", "email", "password"))
    wish = RegisterAccount(username=username, email=email, password=password, address=_client(call).address)
    await call.parts.commands.run(wish, call.context())
    begin = BeginLogIn(login=username, password=password, client=_client(call))
    return _entered(await call.parts.commands.run(begin, call.context()), {}, call)


async def again_page(call: Call) -> Answer:
    return page(pages.again())


@form(log_in_again)
async def log_out(call: Call, fields: Mapping[str, str]) -> Answer:
    """Ends the session, if there still is one. What the editor keeps in the browser goes too."""
    try:
        caller = await by_cookie(cookie(call.headers, COOKIE), call.parts)
    except NotAuthenticated:
        pass
    else:
        context = Context(actor=account_actor(caller.account), correlation=call.parts.new_id())
        await call.parts.commands.run(LogOut(account=caller.account, session=caller.session), context)
        call.parts.ended.end(caller.session)
    return onward("login", cookies.gone(COOKIE, call.parts), (b"clear-site-data", b'"storage"'))


async def session(call: Call) -> Answer:
    """For the script beside the editor: who is logged in here. Raises NotAuthenticated."""
    caller = await by_cookie(cookie(call.headers, COOKIE), call.parts)
    shown = json({"account": str(caller.account), "name": await name_of(caller.account, call.parts)})
    return replace(shown, headers=await cookies.of_session_that_goes_on(call, _client(call)))


async def sign_on(call: Call) -> Answer:
    """Off to the provider. Its answer comes to the API's callback, which by the second cookie sends it on to us."""
    parts = call.parts
    browser = parts.commands.needs.secrets.random_token()
    try:
        url: str = await parts.commands.run(
            BeginSignOn(browser=browser, address=_client(call).address), call.context()
        )
    except REFUSALS as error:
        return await refused(error, lambda said, faults: log_in_again({}, said, faults, call))
    state = parse_qs(urlsplit(url).query)["state"][0]
    lives = cookies.SIGN_ON_WITHIN
    return onward(
        url,
        cookies.made(cookies.SIGN_ON, browser, lives, parts, path=cookies.HERE),
        cookies.made(FOR_PAGE, state, lives, parts, path=SIGN_ON_PATH),
    )


async def signed_on(call: Call) -> Answer:
    state, code = call.query.get("state", ""), call.query.get("code", "")
    try:
        wish = FinishSignOn(browser=_browser(call), state=state, code=code, client=_client(call))
        done = await call.parts.commands.run(wish, call.context())
    except CodeNeeded:
        return page(pages.code(state=state))
    except REFUSALS as error:
        return await refused(error, lambda said, faults: log_in_again({}, said, faults, call))
    return _signed_on(done.tokens, {}, call)


async def name_of(account: AccountId, parts: Parts) -> str:
    found = await known(account, parts.commands.needs)
    return "" if found.credentials is None else found.credentials.username


def _entered(tokens: Tokens, fields: Mapping[str, str], call: Call, *more: tuple[bytes, bytes]) -> Answer:
    to = "again" if fields.get("again") else "./"
    return onward(to, cookies.of_session(tokens, call.parts), *more)


def _signed_on(tokens: Tokens | None, fields: Mapping[str, str], call: Call) -> Answer:
    if tokens is None:
        raise NotAuthenticated(NO_LINK)
    return _entered(tokens, fields, call, cookies.gone(cookies.SIGN_ON, call.parts, cookies.HERE))


async def _fields(call: Call) -> Mapping[str, str]:
    """Raises WrongMediaType, Malformed, TooLarge."""
    body = await call.body(FORM_BYTES)
    if body and call.header("content-type").partition(";")[0].strip().lower() != FORM:
        raise WrongMediaType("Please send the form of the page.")
    try:
        found = parse_qs(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise Malformed("The form cannot be read.") from error
    if any("\0" in value for values in found.values() for value in values):
        raise Malformed("The form contains the NUL character.")
    return {name: values[-1] for name, values in found.items()}


def _browser(call: Call) -> str:
    """Raises NotAuthenticated."""
    if not (browser := cookie(call.headers, cookies.SIGN_ON)):
        raise NotAuthenticated(OVER)
    return browser


def _client(call: Call) -> Client:
    return client_of(call.header("user-agent"), (call.scope.get("client") or ("",))[0])


def _provider(call: Call) -> str | None:
    provider = call.parts.commands.needs.provider
    return None if provider is None else provider.label
