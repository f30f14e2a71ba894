"""Who asks: nobody, a liar, a program that may do little, a member with one of everything, an administrator."""

from collections import defaultdict
from typing import Any

import requests

from domain.account import Role
from tests.http.administrators import give
from tests.http.person import PASSWORD, joined
from tests.http.test_isolation import belongings
from tests.http.whole import Whole

NAMES = ["gpu-1", "gallery", "default", "plain_card", "run.submitted.v1.json"]
"""Of backends, read models, pools, templates and contracts."""


class Caller:
    """`named`: values for the parameters of addresses, that lead somewhere."""

    def __init__(self, url: str, named: dict[str, list[str]], *, login: str = "", header: str = "") -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.named = named
        self._url = url
        self._login = login
        if header:
            self.session.headers["Authorization"] = header

    def ready(self) -> None:
        """Logged in, whatever was done to the session since."""
        if not self._login or self._ask("GET", "/auth/me").ok:
            return
        self.session.headers.pop("Authorization", None)
        tokens = self._ask("POST", "/auth/login", json={"login": self._login, "password": PASSWORD})
        assert tokens.ok, tokens.text
        self.session.headers["Authorization"] = f"Bearer {tokens.json()['access_token']}"

    def _ask(self, method: str, path: str, **request: Any) -> requests.Response:
        return self.session.request(method, f"{self._url}/api/v1{path}", timeout=30, **request)


async def callers(served: Whole) -> dict[str, Caller]:
    everything: dict[str, list[str]] = defaultdict(list)
    found = {}
    for who in ("member", "administrator"):
        async with joined(served) as person:
            async with belongings(served, person) as things:
                named = defaultdict(list)
                for parameter, value in things.named().items():
                    named[parameter.strip("{}").partition(":")[0]].append(value)
            asked = {"name": "little", "scopes": ["events"]}
            key = (await person.post("/api-keys", asked))["key"]
            if who == "administrator":
                await give(served, person, Role.ADMIN)
            named["name"] += [person.name, *NAMES]
            found[who] = Caller(served.url, named, login=person.name)
            for name, values in named.items():
                everything[name] += values
    found["nobody"] = Caller(served.url, everything)
    found["liar"] = Caller(served.url, everything, header="Bearer e30.e30.e30")
    found["program"] = Caller(served.url, everything, header=f"Bearer {key}")
    return found
