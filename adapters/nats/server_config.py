"""The configuration of the NATS server, as text: who may say what to whom.

Accounts are the boundary, permissions inside one are not: reply subjects are never checked against them.
So executors live in EXEC and reach APP only by the services and streams that are exported to them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

APP_USER = "app"
EXECUTOR_VERBS = ("claim", "beat", "open", "report")
MAX_PAYLOAD_BYTES = 1024 * 1024

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
  SYS {{}}
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

_EXECUTOR = """\
      {{
        user: {name}
        password: {password}
        permissions: {{
          publish: {{ allow: [{publish}] }}
          subscribe: {{ allow: [{subscribe}] }}
        }}
      }}"""


def server_config(
    *,
    host: str,
    port: int,
    store_dir: Path,
    app_password: str,
    executors: Mapping[str, str],
    monitor_port: int | None = None,
    server_name: str = "comfyplus",
    max_memory_bytes: int = 256 * 1024 * 1024,
    max_file_bytes: int = 64 * 1024 * 1024 * 1024,
) -> str:
    """The text of a nats-server configuration file (keep it 0600: it holds passwords).

    `executors` maps names to passwords. Raises ValueError for a name that is no subject token.
    """
    services = [f"runs.{verb}.*" for verb in EXECUTOR_VERBS]
    streams = ["runs.wake.>", "exec.>"]
    exported = [f'      {{ service: "{subject}", accounts: [EXEC] }}' for subject in services]
    exported += [f'      {{ stream: "{subject}", accounts: [EXEC] }}' for subject in streams]
    imported = [f'      {{ service: {{ account: APP, subject: "{subject}" }} }}' for subject in services]
    imported += [f'      {{ stream: {{ account: APP, subject: "{subject}" }} }}' for subject in streams]
    return _CONFIG.format(
        server_name=_quoted(server_name),
        listen=_quoted(_address(host, port)),
        monitor="" if monitor_port is None else f"http: {_quoted(_address(host, monitor_port))}\n",
        max_payload=MAX_PAYLOAD_BYTES,
        store_dir=_quoted(str(store_dir)),
        max_memory_bytes=max_memory_bytes,
        max_file_bytes=max_file_bytes,
        app_user=APP_USER,
        app_password=_quoted(app_password),
        app_exports="\n".join(exported),
        exec_imports="\n".join(imported),
        executors="\n".join(_executor(name, password) for name, password in executors.items()),
    )


def executor_inbox(name: str) -> str:
    """The prefix of the only inboxes an executor may listen on."""
    return f"_INBOX_{name}"


def app_inbox(name: str = APP_USER) -> str:
    return f"_INBOX_{name}"


def _executor(name: str, password: str) -> str:
    if not _EXECUTOR_NAME.fullmatch(name):
        raise ValueError(f"An executor's name is 1 to 64 letters, digits, - and _, not {name!r}.")
    publish = [*(f"runs.{verb}.{name}" for verb in EXECUTOR_VERBS), "progress.>"]
    subscribe = [f"{executor_inbox(name)}.>", "runs.wake.>", f"exec.{name}.>"]
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
