"""Pages of our own and ways on, with what a browser must not do with them."""

import msgspec.structs

from adapters.http.gateway.call import Answer

HTML = "text/html; charset=utf-8"
POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)
OF_ALL = ((b"referrer-policy", b"same-origin"), (b"cache-control", b"no-store"))
"""Without a referrer, browsers would send forms with the origin `null`."""


def page(html: str, status: int = 200, policy: bytes = POLICY) -> Answer:
    return Answer(
        status=status,
        body=html.encode(),
        media_type=HTML,
        headers=(*OF_ALL, (b"content-security-policy", policy)),
    )


def onward(to: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status=303, headers=(*OF_ALL, (b"location", to.encode("ascii")), *headers))


def governed(answer: Answer, policy: bytes) -> Answer:
    """The same answer under a policy: what workers and frames that are made of it may do."""
    headers = (*answer.headers, (b"content-security-policy", policy))
    return msgspec.structs.replace(answer, headers=headers)
