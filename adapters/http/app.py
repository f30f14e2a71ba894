"""The HTTP application: routes, problems, OpenAPI."""

from typing import Any

from litestar import Litestar, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from adapters.http import (
    accounts,
    announcements,
    api_keys,
    auditing,
    auth,
    backends,
    batches,
    collections,
    comments,
    contracts,
    deliveries,
    event_browser,
    events,
    exports,
    follows,
    forks,
    gallery,
    gate,
    generate,
    health,
    importing,
    inputs,
    likes,
    lineage,
    live,
    loras,
    mailed,
    models,
    notices,
    objects,
    outputs,
    own_outputs,
    parked,
    past,
    people,
    pools,
    presets,
    profiles,
    publishing,
    queue,
    registered_backends,
    renditions,
    replays,
    reports,
    requirements,
    retention,
    runs,
    second_factor,
    sessions,
    shared_outputs,
    shares,
    sign_on,
    sockets,
    statistics,
    templates,
    thumbnails,
    trash,
    uploads,
    usage,
    versions,
    webhooks,
    words,
    workflow_files,
    workflows,
    zips,
)
from adapters.http.callers import BY_KEY, DEPENDENCIES
from adapters.http.door import Door
from adapters.http.foreseen import Foreseeing
from adapters.http.gateway.mount import Gateway
from adapters.http.parts import Parts
from adapters.http.presence import Guests
from adapters.http.problems import HANDLERS

FOR_PROGRAMS = Router(
    "/",
    route_handlers=[
        workflows.ROUTER,
        importing.ROUTER,
        workflow_files.ROUTER,
        forks.ROUTER,
        lineage.ROUTER,
        trash.ROUTER,
        thumbnails.ROUTER,
        versions.ROUTER,
        requirements.ROUTER,
        gallery.ROUTER,
        announcements.ROUTER,
        likes.ROUTER,
        comments.ROUTER,
        follows.ROUTER,
        reports.ROUTER,
        notices.ROUTER,
        shares.ROUTER,
        collections.ROUTER,
        shared_outputs.ROUTER,
        past.ROUTER,
        runs.ROUTER,
        generate.ROUTER,
        templates.ROUTER,
        publishing.ROUTER,
        presets.ROUTER,
        batches.ROUTER,
        inputs.ROUTER,
        usage.ROUTER,
        backends.ROUTER,
        models.ROUTER,
        live.ROUTER,
        sockets.ROUTER,
        queue.ROUTER,
        outputs.ROUTER,
        own_outputs.ROUTER,
        renditions.ROUTER,
        zips.ROUTER,
        retention.ROUTER,
        loras.ROUTER,
        uploads.ROUTER,
    ],
    opt={BY_KEY: True},
)
API = Router(
    "/api/v1",
    route_handlers=[
        auth.ROUTER,
        sessions.ROUTER,
        mailed.ROUTER,
        second_factor.ROUTER,
        sign_on.ROUTER,
        auditing.ROUTER,
        event_browser.ROUTER,
        statistics.ROUTER,
        accounts.ROUTER,
        profiles.ROUTER,
        profiles.FOR_PROGRAMS,
        backends.OWN,
        registered_backends.ADMIN,
        gate.ADMIN,
        words.ADMIN,
        models.ADMIN,
        announcements.ADMIN,
        exports.ROUTER,
        api_keys.ROUTER,
        events.ROUTER,
        FOR_PROGRAMS,
        objects.ROUTER,
        past.ADMIN,
        people.ADMIN,
        reports.ADMIN,
        queue.ADMIN,
        pools.ADMIN,
        usage.ADMIN,
        replays.ROUTER,
        parked.ROUTER,
        webhooks.ROUTER,
        deliveries.ROUTER,
    ],
)
OPENAPI = OpenAPIConfig(
    title="ComfyUI Plus",
    version="1",
    description="Accounts, versioned workflows, a durable queue and a full history in front of ComfyUI.",
    path="/schema",
    render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"]), YamlRenderPlugin()],
    components=Components(
        security_schemes={
            "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
            "api_key": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
        }
    ),
    security=[{"bearer": []}, {"api_key": []}],
    use_handler_docstrings=True,
)


ROUTES = [API, health.ROUTER, contracts.ROUTER]


def create_app(parts: Parts) -> Door:
    """What the server is given."""
    return with_parts(routes(parts.max_body_bytes), parts)


def routes(max_body_bytes: int) -> Litestar:
    """Takes longest of all to be made; needs nothing that would have to be running."""
    return Litestar(
        route_handlers=ROUTES,
        dependencies=DEPENDENCIES,
        exception_handlers=HANDLERS,
        openapi_config=OPENAPI,
        plugins=[Foreseeing()],
        request_max_body_size=max_body_bytes,
        logging_config=None,
    )


def with_parts(made: Litestar, parts: Parts) -> Door:
    """The routes with what is behind them."""
    guests = Guests(parts.ended)
    made.state.update({"parts": parts, "guests": guests})
    return Door(Gateway(parts, guests, made), parts.patience_s)


def described() -> dict[str, Any]:
    """The OpenAPI document."""
    app = Litestar(
        ROUTES,
        dependencies=DEPENDENCIES,
        openapi_config=OPENAPI,
        plugins=[Foreseeing()],
        logging_config=None,
    )
    return app.openapi_schema.to_schema()
