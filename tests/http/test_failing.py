"""What is logged of a request that fails by a fault of ours."""

from typing import Any

import pytest
from litestar import Request

from adapters.http.problems import failed


@pytest.mark.parametrize(
    ("path", "told"),
    [("/api/v1/runs/7", "/api/v1/runs/7"), ("/api/v1/shared/s3cr3t", "/api/v1/shared/...")],
)
def test_the_token_of_a_link_is_not_logged(path: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    scope: Any = {"type": "http", "method": "GET", "path": path, "state": {}}
    answer = failed(Request(scope), ValueError("a fault"))
    assert answer.status_code == 500
    (record,) = caplog.records
    assert record.__dict__["path"] == told
    assert "s3cr3t" not in caplog.text
