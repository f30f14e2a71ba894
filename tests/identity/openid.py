"""A provider of identities: a small real HTTP server that lets in whom a test says, and signs ID tokens."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "studio", "s:cret/of the studio"

Sign = Callable[[dict[str, Any]], str]


class SigningKey:
    def __init__(self) -> None:
        self.id = uuid4().hex[:8]
        self.private = rsa.generate_private_key(65537, 2048)

    @property
    def public(self) -> dict[str, Any]:
        document: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return document | {"kid": self.id, "use": "sig", "alg": "RS256"}

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self.private, "RS256", headers={"kid": self.id})


class Provider:
    """`who`: the claims of whoever is at the browser. `change`, `sign`: what is wrong with the next tokens."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = SigningKey()
        self.keys = [self.key.public]
        self.who: dict[str, Any] = {"sub": "ann-at-home"}
        self.change: dict[str, Any] = {}
        self.sign: Sign | None = None
        self.says: dict[str, Any] = {}
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def about(self) -> dict[str, Any]:
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {
            "issuer": self.url,
            **{name: f"{self.url}/{path}" for name, path in paths.items()},
        } | self.says

    def allow(self, url: str) -> str:
        """What the browser does at the provider: the address that it is sent back to."""
        query = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = uuid4().hex
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        if pair != "studio:s%3Acret%2Fof%20the%20studio":
            return 401, {"error": "invalid_client"}
        wanted = self._codes.pop(form["code"], None)  # each works once
        if wanted is None or wanted["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        shown = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if shown.rstrip(b"=").decode() != wanted["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": wanted["nonce"]}
        claims = {
            name: value for name, value in (claims | self.who | self.change).items() if value is not None
        }
        return 200, {"id_token": (self.sign or self.key.sign)(claims), "token_type": "Bearer"}

    def rotate(self, *, keep: bool = False) -> None:
        self.key = SigningKey()
        self.keys = [*(self.keys if keep else []), self.key.public]


@contextmanager
def running() -> Iterator[Provider]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            found = {"/.well-known/openid-configuration": provider.about(), "/keys": {"keys": provider.keys}}
            self._answer(200 if self.path in found else 404, found.get(self.path, {}))

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: value for name, (value,) in parse_qs(body, keep_blank_values=True).items()}
            self._answer(*provider.token(form, self.headers.get("authorization", "")))

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing to tell."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
