"""`python -m bench.bare`: a page that is known beforehand, on the same server with the same settings.

It checks the same access token with the same code, and has Postgres answer with the bytes of a file: `SELECT $1`
through the same account-bound reader. What it lacks is the read model.
"""

import argparse
from pathlib import Path
from typing import Any

import uvloop
from litestar import Litestar, Response, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide

from adapters.http.callers import Caller, caller, parts
from adapters.http.problems import HANDLERS
from adapters.http.reads import json_response
from adapters.identity.secrets import ServerSecrets
from bench.empty import signed
from infra.processes.api import server
from infra.settings import Settings, load_secret
from infra.wiring import pool
from projections.reading import Reader, one

SAME = b"SELECT %(page)s::bytea"


@get("/gallery")
async def page(
    caller: NamedDependency[Caller], bare: NamedDependency[Reader], known: NamedDependency[bytes]
) -> Response[bytes]:
    async with bare.for_account(caller.account) as cursor:
        return json_response(await one(cursor, SAME, {"page": known}) or b"")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="whose secret signs the tokens")
    parser.add_argument("--page", type=Path, required=True, help="a file with what is answered")
    parser.add_argument("--database", required=True, help="the URL of comfyplus_query")
    chosen = parser.parse_args()
    uvloop.run(
        _serve(Settings(data=chosen.folder, port=chosen.port), chosen.database, chosen.page.read_bytes())
    )


async def _serve(settings: Settings, database: str, body: bytes) -> None:
    state: dict[str, Any] = {"parts": signed(ServerSecrets(load_secret(settings)))}
    async with pool(database) as connections:
        reader = Reader(connections)
        app = Litestar(
            route_handlers=[Router("/api/v1", route_handlers=[page])],
            dependencies={
                "parts": Provide(parts, sync_to_thread=False),
                "caller": Provide(caller),
                "bare": Provide(lambda: reader, sync_to_thread=False),
                "known": Provide(lambda: body, sync_to_thread=False),
            },
            exception_handlers=HANDLERS,
            openapi_config=None,
            state=State(state),
            logging_config=None,
        )
        await server(app, settings).serve()


if __name__ == "__main__":
    main()
