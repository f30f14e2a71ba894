"""The few pages of our own: to log in, to join, and what else has to be said. They work without scripts."""

from collections.abc import Sequence
from html import escape

FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>{title} - ComfyUI Plus</title>
<link rel="icon" type="image/svg+xml" href="own/icon.svg">
<link rel="stylesheet" href="own/page.css">
</head>
<body>
<main>
<header><img src="own/icon.svg" alt="" width="56" height="56"><p class="name">ComfyUI <b>Plus</b></p></header>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
LOG_IN = """<form method="post" action="login">
<label for="login">Username or e-mail address</label>
<input id="login" name="login" value="{login}" autocomplete="username" autocapitalize="none" spellcheck="false"
 maxlength="254" required{focus_login}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="200"
 required{focus_password}>
{again}<button type="submit">Log in</button>
</form>
{provider}<p class="other">New here? <a href="join">Create an account</a></p>"""
PROVIDER = """<div class="or"><span>or</span></div>
<a class="button second" href="sign-on">{label}</a>
"""
JOIN = """<form method="post" action="join">
<label for="username">Username</label>
<input id="username" name="username" value="{username}" autocomplete="username" autocapitalize="none"
 spellcheck="false" minlength="3" maxlength="40" required autofocus>
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" value="{email}" autocomplete="email" maxlength="254" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="8" maxlength="200"
 required aria-describedby="long">
<small id="long">8 characters or more.</small>
<button type="submit">Create the account</button>
</form>
<p class="other">Have one already? <a href="login">Log in</a></p>"""
CODE = """<p>Now the code that your device shows, or one of your recovery codes.</p>
<form method="post" action="code">
<label for="code">Code</label>
<input id="code" name="code" class="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false"
 maxlength="40" required autofocus>
{state}{again}<button type="submit">Go on</button>
</form>
<p class="other"><a href="login">Begin again</a></p>"""
AGAIN = """<p class="good" role="status">You are logged in again. Your work is where you left it: close this tab
and go on in the other one.</p>
<p class="other"><a href="./">Or open the editor here</a></p>"""
MISSING = """<p>The editor is ComfyUI's own, and comes as a package of its own. On the machine of this server:</p>
<pre>make editor</pre>
<p>then start the server anew. To serve another version, name its folder in <code>COMFYPLUS_EDITOR</code>.
Programs need none of this: ComfyUI's interface is at <code>/comfy/</code>.</p>"""
HIDDEN = '<input type="hidden" name="{name}" value="{value}">\n'


def log_in(*, said: str = "", login: str = "", provider: str | None = None, again: bool = False) -> str:
    body = LOG_IN.format(
        login=escape(login),
        focus_login="" if login else " autofocus",
        focus_password=" autofocus" if login else "",
        again=_again(again),
        provider="" if provider is None else PROVIDER.format(label=escape(provider)),
    )
    return _page("Log in", body, said)


def join(*, said: str = "", faults: Sequence[str] = (), username: str = "", email: str = "") -> str:
    return _page(
        "Create an account", JOIN.format(username=escape(username), email=escape(email)), said, faults
    )


def code(*, said: str = "", state: str = "", again: bool = False) -> str:
    hidden = HIDDEN.format(name="state", value=escape(state)) if state else ""
    return _page("One more step", CODE.format(state=hidden, again=_again(again)), said)


def again() -> str:
    return _page("Welcome back", AGAIN)


def missing() -> str:
    return _page("The editor is not installed", MISSING)


def told(title: str, said: str) -> str:
    return _page(title, '<p class="other"><a href="login">Log in</a></p>', said)


def _again(again: bool) -> str:
    return HIDDEN.format(name="again", value="1") if again else ""


def _page(title: str, body: str, said: str = "", faults: Sequence[str] = ()) -> str:
    if said:
        listed = "".join(f"<li>{escape(fault)}</li>" for fault in faults)
        more = f"<ul>{listed}</ul>" if listed else ""
        body = f'<div class="bad" role="alert">{escape(said)}{more}</div>\n{body}'
    return FRAME.format(title=escape(title), body=body)
