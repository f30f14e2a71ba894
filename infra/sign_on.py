"""The provider of identities, where one is set: reached through the guarded transport."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from adapters.identity.provider import OpenIdProvider, Registration
from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from commands.providers import Provider
from infra.settings import Settings

MOST_BYTES = 256 * 1024  # of an answer
CALLBACK = "/api/v1/auth/oidc/callback"


@asynccontextmanager
async def provider(settings: Settings) -> AsyncIterator[Provider | None]:
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        yield None
        return
    guard = Guard(private=settings.oidc_private_addresses)
    context = httpx.create_ssl_context() if settings.oidc_issuer.startswith("https") else None
    base = settings.public_url or f"http://{settings.host}:{settings.port}"
    opened = OpenIdProvider(
        Registration(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            redirect_url=settings.oidc_redirect_url or f"{base}{CALLBACK}",
            scopes=settings.oidc_scopes,
            label=settings.oidc_label,
            private=settings.oidc_private_addresses,
        ),
        KeptTransport(context, resolve=guard, most_bytes=MOST_BYTES),
    )
    try:
        yield opened
    finally:
        await opened.aclose()
        guard.close()
