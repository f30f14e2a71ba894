"""Workflows out of files."""

from typing import Annotated

from litestar import Response, Router, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from adapters.http.answers import answers
from adapters.http.callers import Caller
from adapters.http.forms import WithFile, only_file
from adapters.http.parts import Parts
from adapters.http.versions import SavedAnswer, saved_answer
from commands.importing import ImportWorkflow
from commands.streams import Context
from commands.workflows import Saved

MAX_BYTES = 32 * 1024 * 1024
SLACK_BYTES = 64 * 1024  # of the form around it
UNNAMED = "Imported workflow"
FIELD = "file"


@post(
    "/workflows/import",
    request_max_body_size=MAX_BYTES + SLACK_BYTES,
    dependencies={"file": Provide(only_file(FIELD))},
    operation_class=WithFile,
    responses=answers(201, SavedAnswer, 401, 409, 413, 415, 422),
)
async def upload(
    file: NamedDependency[UploadFile],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    name: Annotated[str, QueryParameter(description="In place of the file's, or of the one in a zip.")] = "",
) -> Response[SavedAnswer]:
    """Keep the workflow in a file, sent as the form's field `file`, 32 MiB at most: JSON in ComfyUI's API format or as
    the editor saves it, a PNG that ComfyUI made, which carries both, or the zip that an export gave.

    The editor's graph alone is converted, as in POST /workflows. Out of a zip come name, description, tags and all
    versions; it is private, and its history begins with where it is from. 422 names what is wrong with the file.
    """
    wish = ImportWorkflow(
        owner=caller.account,
        name=name,
        otherwise=_stem(file.filename) or UNNAMED,
        body=await file.read(),
    )
    saved: Saved = await parts.commands.run(wish, context)
    return saved_answer(saved, f"{parts.public_url}/api/v1/workflows/{saved.id}")


def _stem(filename: str) -> str:
    """What can be a name of it: of a path the end, without what says the kind."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    stem = last.rpartition(".")[0] or last
    return "".join(letter for letter in stem if letter.isprintable()).strip()[:200]


ROUTER = Router("/", route_handlers=[upload], tags=["workflows"])
