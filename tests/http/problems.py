"""What a refusal must look like."""

from typing import Any

import httpx


def refused(answer: httpx.Response, *status: int) -> dict[str, Any]:
    """A problem of RFC 9457 with one of the statuses; nothing of the server's insides in it."""
    where = f"{answer.request.method} {str(answer.request.url)[:200]}"
    assert answer.status_code in status, f"{where}: {answer.status_code} {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json", where
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"].startswith("urn:comfyplus:problem:")
    assert problem["title"]
    assert problem["detail"]
    assert problem.keys() <= {"type", "title", "status", "detail", "errors"}
    for error in problem.get("errors", ()):
        assert error.keys() == {"field", "reason"}
    told = answer.text.lower()
    for inside in ("traceback", "psycopg", "select ", "/work", "site-packages", ".py", "uuid(", "msgspec"):
        assert inside not in told, f"{where}: {answer.text[:500]}"
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    return problem
