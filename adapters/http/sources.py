"""What a run executes, as its owner is shown it: parameters and values are kept beside the log, and fetched for it."""

from typing import Any

import msgspec

from adapters.http.parts import Parts


async def with_source(run: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Put the parameters, or the values of a template, in the place of their digest."""
    digest, source = run.pop("values"), run["source"]
    if digest is not None:
        body = await parts.commands.needs.contents.get(digest)
        if source["kind"] == "template":
            source |= {} if body is None else msgspec.json.decode(body)
        else:
            source["parameters"] = None if body is None else msgspec.Raw(body)
    return run
