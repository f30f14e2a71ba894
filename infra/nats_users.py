"""Our own users of a NATS server that lets integrators in, made from the secret: for its configuration and for us."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from adapters.nats.nkey import Issuer
from adapters.nats.server_config import APP_USER, AUTH_USER, FEED_USER, SYS_USER, Integrators, server_config
from infra.settings import Settings, derive, load_secret


def users(secret: bytes) -> Integrators:
    """Our own users' passwords and the issuer's public key, as the server's configuration has them."""
    return Integrators(
        feed_password=derive(secret, "nats feed").hex(),
        auth_password=derive(secret, "nats auth").hex(),
        sys_password=derive(secret, "nats sys").hex(),
        issuer=issuer(secret).public,
    )


def urls(url: str, secret: bytes) -> dict[str, str]:
    """The settings that lead our processes to a server with those users."""
    known = users(secret)
    return {
        "nats_feed_url": _as(url, FEED_USER, known.feed_password),
        "nats_auth_url": _as(url, AUTH_USER, known.auth_password),
        "nats_sys_url": _as(url, SYS_USER, known.sys_password),
    }


def issuer(secret: bytes) -> Issuer:
    return Issuer(derive(secret, "nats issuer"))


def app_password(secret: bytes) -> str:
    return derive(secret, "nats app").hex()


def executor_password(secret: bytes, name: str) -> str:
    return derive(secret, f"nats executor {name}").hex()


def configuration(settings: Settings, host: str, port: int, store: Path, executors: Sequence[str]) -> str:
    """For a server that is not ours to start, and what our processes are to be told of it, as comments.

    Raises ValueError for a name that an executor cannot have.
    """
    secret = load_secret(settings)
    address = f"nats://nats.example.org:{port}"
    known = {"nats_url": _as(address, APP_USER, app_password(secret))} | urls(address, secret)
    told = [f"# COMFYPLUS_{name.upper()}={url}" for name, url in known.items()]
    told += [
        f"# COMFYPLUS_NATS_EXEC_URL={_as(address, name, executor_password(secret, name))}"
        for name in executors
    ]
    config = server_config(
        host=host,
        port=port,
        store_dir=store,
        app_password=app_password(secret),
        executors={name: executor_password(secret, name) for name in executors},
        integrators=users(secret),
    )
    return "\n".join([*told, "", config])


def _as(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))
