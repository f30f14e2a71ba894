"""Our own users of a NATS server that lets integrators in, made from the secret: for its configuration and for us."""

from urllib.parse import urlsplit, urlunsplit

from adapters.nats.nkey import Issuer
from adapters.nats.server_config import AUTH_USER, FEED_USER, SYS_USER, Integrators
from infra.settings import derive


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


def _as(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))
