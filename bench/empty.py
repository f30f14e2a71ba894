"""`python -m bench.empty`: the submit route with nothing behind it, on the same server with the same settings.

It checks the same access token with the same code, decodes the same body into the same Struct, and answers 202
with as many bytes. What it lacks is the command, the log and the queue.
"""

import argparse
from pathlib import Path
from typing import Any
from uuid import UUID

import uvloop
from litestar import Litestar, Router, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from msgspec import Struct

from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller, caller
from adapters.http.problems import HANDLERS
from adapters.http.runs import Accepted, SubmitBody
from adapters.identity.secrets import ServerSecrets
from domain.ids import Position, RunId
from infra.processes.api import server
from infra.settings import Settings, load_secret


class Signed(Struct, frozen=True):
    """All that checking a token needs of the API's parts."""

    signatures: ServerSecrets


@post("/workflows/{workflow:uuid}/runs", dto=StrictBody[SubmitBody], return_dto=None, status_code=202)
async def submit(workflow: FromPath[UUID], data: SubmitBody, caller: NamedDependency[Caller]) -> Accepted:
    url = f"http://127.0.0.1:20000/api/v1/runs/{workflow}"
    return Accepted(RunId(workflow), url, f"{url}/cancel", f"{url}/live", Position(123_456))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="whose secret signs the tokens")
    chosen = parser.parse_args()
    settings = Settings(data=chosen.folder, port=chosen.port)
    state: dict[str, Any] = {"parts": Signed(ServerSecrets(load_secret(settings)))}
    app = Litestar(
        route_handlers=[Router("/api/v1", route_handlers=[submit])],
        dependencies={"caller": Provide(caller, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        openapi_config=None,
        state=State(state),
        logging_config=None,
    )
    uvloop.run(server(app, settings).serve())


if __name__ == "__main__":
    main()
