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

from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller, caller, parts
from adapters.http.parts import Parts
from adapters.http.problems import HANDLERS
from adapters.http.runs import Accepted, SubmitBody
from adapters.identity.secrets import ServerSecrets
from domain.ids import Position, RunId
from infra.processes.api import server
from infra.settings import Settings, load_secret


class NobodyHasLeft:
    def is_over(self, *_: object) -> bool:
        return False


def signed(secrets: ServerSecrets) -> Parts:
    """The API's parts as far as checking a token needs them."""
    given: dict[str, Any] = dict.fromkeys(Parts.__struct_fields__)
    return Parts(**given | {"signatures": secrets, "ended": NobodyHasLeft()})


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
    state = {"parts": signed(ServerSecrets(load_secret(settings)))}
    app = Litestar(
        route_handlers=[Router("/api/v1", route_handlers=[submit])],
        dependencies={"parts": Provide(parts, sync_to_thread=False), "caller": Provide(caller)},
        exception_handlers=HANDLERS,
        openapi_config=None,
        state=State(state),
        logging_config=None,
    )
    uvloop.run(server(app, settings).serve())


if __name__ == "__main__":
    main()
