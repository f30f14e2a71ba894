"""What a run executes, as its owner is shown it: parameters are kept beside the log, and fetched for it."""

from typing import Any

import msgspec

from adapters.http.parts import Parts


async def with_source(run: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Put the parameters in the place of their digest."""
    digest = run.pop("values")
    if digest is not None:
        body = await parts.commands.needs.contents.get(digest)
        run["source"]["parameters"] = None if body is None else msgspec.Raw(body)
    return run
