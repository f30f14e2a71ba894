"""The configuration of the NATS server, as text: who may say what to whom.

Accounts are the boundary, permissions inside one are not: reply subjects are never checked against them.
So executors live in EXEC and reach APP only by the services and streams that are exported to them. And integrators
live in INTEG, which has no JetStream: a pull may name any reply subject, and in an account with JetStream an empty
status sent to `$JS.API.STREAM.PURGE.<stream>` purges it. The stream is in FEED, where only the publisher is.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from domain.backend import bound_to

APP_USER = "app"
FEED_USER = "feed"
AUTH_USER = "auth"
SYS_USER = "sys"
INTEG = "INTEG"
FEED_STREAM = "EVENTS"
DOMAIN = "events"
"""The JetStream domain that integrators name: `$JS.API` itself tells them that their account has no JetStream."""
FEED_API = f"$JS.{DOMAIN}.API.CONSUMER"
CREATE = "integrators.create"
"""Where integrators' wishes for consumers arrive in AUTH."""
PROGRESS = ("progress.*.*.step", "progress.*.*.preview", "progress.*.*.nodes")
EXECUTOR_VERBS = ("claim", "beat", "open", "report", "stock")
EXECUTOR_TRIALS = "exec.any.try"
"""What every executor may be asked, but for those that belong to an account."""
EXECUTOR_TOLD = ("tried",)
"""What an executor tells without an answer, on `runs.<word>.<executor>`."""
MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_INTEGRATORS = 2000  # connections at once
MAX_INTEGRATOR_PAYLOAD_BYTES = 64 * 1024  # they receive events, and send requests and acknowledgements only

_API = "$JS.API.CONSUMER"
_FEED_SERVICES = (
    (f"{_API}.MSG.NEXT.{FEED_STREAM}.*", "Stream", (INTEG,)),
    (f"{_API}.INFO.{FEED_STREAM}.*", "Singleton", (INTEG,)),
    (f"{_API}.RESET.{FEED_STREAM}.*", "Singleton", (INTEG,)),
    (f"$JS.ACK.{FEED_STREAM}.>", "Singleton", (INTEG,)),
    (f"{_API}.DELETE.{FEED_STREAM}.*", "Singleton", (INTEG, "AUTH")),
    (f"{_API}.CREATE.{FEED_STREAM}.>", "Singleton", ("AUTH",)),
    (f"{_API}.NAMES.{FEED_STREAM}", "Singleton", ("AUTH",)),
)
"""What others may ask of the stream in FEED. A consumer is made by us only: it could push to any subject there."""

_EXECUTOR_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

_CONFIG = """\
server_name: {server_name}
listen: {listen}
{monitor}\
max_payload: {max_payload}
lame_duck_grace_period: "1s"
lame_duck_duration: "30s"

jetstream {{
  store_dir: {store_dir}
  max_memory_store: {max_memory_bytes}
  max_file_store: {max_file_bytes}
}}

accounts {{
{integrators}\
  APP {{
    jetstream: enabled
    users: [
      {{ user: "{app_user}", password: {app_password} }}
    ]
    exports: [
{app_exports}
    ]
    imports: [
      {{ stream: {{ account: EXEC, subject: "progress.>" }} }}
    ]
  }}
  EXEC {{
    users: [
{executors}
    ]
    exports: [
      {{ stream: "progress.>", accounts: [APP] }}
    ]
    imports: [
{exec_imports}
    ]
  }}
}}

system_account: SYS
"""

_NO_INTEGRATORS = "  SYS {}\n"
_INTEGRATORS = """\
  SYS {{
    users: [
      {{
        user: "{sys_user}"
        password: {sys_password}
        permissions: {{
          publish: {{ allow: ["$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.*.KICK"] }}
          subscribe: {{ allow: ["_INBOX.>"] }}
        }}
      }}
    ]
  }}
  FEED {{
    jetstream: enabled
    users: [
      {{ user: "{feed_user}", password: {feed_password} }}
    ]
    exports: [
{feed_exports}
    ]
  }}
  AUTH {{
    users: [
      {{ user: "{auth_user}", password: {auth_password} }}
    ]
    exports: [
      {{ service: "{create}.>", accounts: [INTEG] }}
    ]
    imports: [
{auth_imports}
    ]
  }}
  INTEG {{
    limits {{
      max_connections: {max_connections}
      max_payload: {integrator_payload}
    }}
    imports: [
{integ_imports}
      {{ service: {{ account: AUTH, subject: "{create}.>" }}, to: "{api}.CREATE.{stream}.>" }}
    ]
  }}
"""

_CALLOUT = """
authorization {{
  timeout: 5
  auth_callout {{
    issuer: {issuer}
    account: AUTH
    auth_users: [{users}]
  }}
}}
"""

_EXECUTOR = """\
      {{
        user: {name}
        password: {password}
        permissions: {{
          publish: {{ allow: [{publish}] }}
          subscribe: {{ allow: [{subscribe}] }}
        }}
      }}"""


class Integrators(Struct, frozen=True, kw_only=True):
    """What lets integrators in: passwords of our own users, and the public key that signs for theirs."""

    feed_password: str
    auth_password: str
    sys_password: str
    issuer: str


def server_config(
    *,
    host: str,
    port: int,
    store_dir: Path,
    app_password: str,
    executors: Mapping[str, str],
    integrators: Integrators | None = None,
    monitor_host: str = "127.0.0.1",
    monitor_port: int | None = None,
    server_name: str = "comfyplus",
    max_memory_bytes: int = 256 * 1024 * 1024,
    max_file_bytes: int = 64 * 1024 * 1024 * 1024,
) -> str:
    """The text of a nats-server configuration file (keep it 0600: it holds passwords).

    `executors` maps names to passwords. Without `integrators` nobody but them and the app may log in.
    Raises ValueError for a name that is no subject token.
    """
    services = [f"runs.{verb}.*" for verb in (*EXECUTOR_VERBS, *EXECUTOR_TOLD)]
    streams = ["runs.wake.>", "exec.>"]
    exported = [f'      {{ service: "{subject}", accounts: [EXEC] }}' for subject in services]
    exported += [f'      {{ stream: "{subject}", accounts: [EXEC] }}' for subject in streams]
    imported = [f'      {{ service: {{ account: APP, subject: "{subject}" }} }}' for subject in services]
    imported += [f'      {{ stream: {{ account: APP, subject: "{subject}" }} }}' for subject in streams]
    config = _CONFIG.format(
        server_name=_quoted(server_name),
        listen=_quoted(_address(host, port)),
        monitor="" if monitor_port is None else f"http: {_quoted(_address(monitor_host, monitor_port))}\n",
        max_payload=MAX_PAYLOAD_BYTES,
        store_dir=_quoted(str(store_dir)),
        max_memory_bytes=max_memory_bytes,
        max_file_bytes=max_file_bytes,
        app_user=APP_USER,
        app_password=_quoted(app_password),
        app_exports="\n".join(exported),
        exec_imports="\n".join(imported),
        executors="\n".join(_executor(name, password) for name, password in executors.items()),
        integrators=_NO_INTEGRATORS if integrators is None else _integrators(integrators),
    )
    return config if integrators is None else config + _callout(integrators, executors)


def executor_inbox(name: str) -> str:
    """The prefix of the only inboxes an executor may listen on."""
    return f"_INBOX_{name}"


def app_inbox(name: str = APP_USER) -> str:
    return f"_INBOX_{name}"


def _integrators(integrators: Integrators) -> str:
    exports = "\n".join(
        f'      {{ service: "{subject}", response_type: {kind}, accounts: [{", ".join(accounts)}] }}'
        for subject, kind, accounts in _FEED_SERVICES
    )

    def imports(account: str, api: str) -> str:
        return "\n".join(
            f'      {{ service: {{ account: FEED, subject: "{subject}" }}, to: "{subject.replace(_API, api)}" }}'
            for subject, _, accounts in _FEED_SERVICES
            if account in accounts
        )

    return _INTEGRATORS.format(
        sys_user=SYS_USER,
        sys_password=_quoted(integrators.sys_password),
        feed_user=FEED_USER,
        feed_password=_quoted(integrators.feed_password),
        feed_exports=exports,
        auth_user=AUTH_USER,
        auth_password=_quoted(integrators.auth_password),
        auth_imports=imports("AUTH", FEED_API),
        integ_imports=imports(INTEG, FEED_API),
        create=CREATE,
        api=FEED_API,
        stream=FEED_STREAM,
        max_connections=MAX_INTEGRATORS,
        integrator_payload=MAX_INTEGRATOR_PAYLOAD_BYTES,
    )


def _callout(integrators: Integrators, executors: Mapping[str, str]) -> str:
    """Our own users do not depend on it: where nobody answers, only integrators stay outside."""
    ours = (APP_USER, FEED_USER, AUTH_USER, SYS_USER, *executors)
    if len(set(ours)) != len(ours):
        raise ValueError("An executor has the name of one of our own users.")
    return _CALLOUT.format(issuer=_quoted(integrators.issuer), users=", ".join(map(_quoted, ours)))


def _executor(name: str, password: str) -> str:
    if not _EXECUTOR_NAME.fullmatch(name) or name == "any":
        raise ValueError(f"An executor's name is 1 to 64 letters, digits, - and _, not {name!r}.")
    publish = [*(f"runs.{verb}.{name}" for verb in (*EXECUTOR_VERBS, *EXECUTOR_TOLD)), *PROGRESS]
    subscribe = [f"{executor_inbox(name)}.>", "runs.wake.>", f"exec.{name}.>"]
    if bound_to(name) is None:
        subscribe.append(EXECUTOR_TRIALS)
    return _EXECUTOR.format(
        name=_quoted(name),
        password=_quoted(password),
        publish=", ".join(map(_quoted, publish)),
        subscribe=", ".join(map(_quoted, subscribe)),
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if any(ord(character) < 32 for character in escaped):
        raise ValueError("A value in the server's configuration holds a control character.")
    return f'"{escaped}"'
