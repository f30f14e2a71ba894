"""Whether a request with a cookie comes from a page of ours: content types protect nobody here."""

import pytest

from adapters.http.gateway.identity import cookie, same_origin

PUBLIC = "https://studio.example"
HOST = "10.0.0.7:8400"


@pytest.mark.parametrize(
    ("method", "sent", "ours"),
    [
        ("POST", {"sec-fetch-site": "same-origin", "origin": f"http://{HOST}"}, True),
        ("POST", {"sec-fetch-site": "same-origin"}, True),
        ("POST", {"origin": f"http://{HOST}"}, True),
        ("POST", {"origin": PUBLIC}, True),
        ("POST", {"sec-fetch-site": "none"}, True),
        ("POST", {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, False),
        ("POST", {"sec-fetch-site": "same-site", "origin": "https://other.studio.example"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "origin": PUBLIC}, False),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),
        ("POST", {"origin": "https://evil.example"}, False),
        ("POST", {"origin": "null"}, False),
        ("POST", {"origin": ""}, False),
        ("POST", {"origin": f"https://{HOST}.evil.example"}, False),
        ("POST", {}, False),
        ("DELETE", {"origin": "https://evil.example"}, False),
        ("WEBSOCKET", {"origin": "https://evil.example"}, False),
        ("WEBSOCKET", {"origin": f"http://{HOST}"}, True),
        ("WEBSOCKET", {}, False),
        ("GET", {}, True),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
        ("GET", {"origin": "https://evil.example"}, False),
    ],
)
def test_only_our_own_pages_write_with_a_cookie(method: str, sent: dict[str, str], ours: bool) -> None:
    headers = {name.encode(): value.encode() for name, value in sent.items()} | {b"host": HOST.encode()}
    assert same_origin(headers, method, PUBLIC) is ours


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("comfyplus_session=a.b", "a.b"),
        ('odd={"x": 1; y}; =; comfyplus_session=a.b; z', "a.b"),
        ("xcomfyplus_session=c; comfyplus_session=a=b", "a=b"),
        ("", ""),
        ("comfyplus_session", ""),
    ],
)
def test_a_cookie_is_found_among_those_of_others(sent: str, value: str) -> None:
    assert cookie({b"cookie": sent.encode()}, "comfyplus_session") == value
