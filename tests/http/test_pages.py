"""Every list that has pages, as the OpenAPI document names it: it loses nothing, tells nothing twice, and asks no more
of Postgres for more rows. A new one is walked as well; where the scene has too little of it, these tests fail.
"""

import json
import re
from pathlib import Path
from typing import Any

import httpx

from tests.http.counting import Count, counting
from tests.http.document import document
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.scene import Scene, scene
from tests.http.whole import Whole

ROWS = 10
FEW, MANY = 2, 20
MOST = 12  # statements
ROUNDS = 3
AT_LEAST = 6  # rows that were there all along
PERIOD = {"from": "2026-01-01", "to": "2026-01-31"}


def lists() -> dict[str, set[str]]:
    """The addresses below /api/v1, and what may be asked of each."""
    return {
        path.removeprefix("/api/v1"): asked
        for path, methods in document()["paths"].items()
        if (asked := {each["name"] for each in methods.get("get", {}).get("parameters", ())})
        >= {"cursor", "limit"}
    }


def test_the_lists_are_known() -> None:
    assert len(lists()) > 30


class Walk:
    """Along one list, a few rows at a time. `seen`: what it was told."""

    def __init__(self, scene: Scene, path: str) -> None:
        self.path = path
        self.address = re.sub(r"{(\w+)}", lambda found: scene.named[found[1]], path)
        self.seen: list[dict[str, Any]] = []
        self.asked: dict[str, Any] = PERIOD if path == "/admin/usage/accounts" else {}
        self._ann: Person = scene.ann
        self._cursor: str | None = None
        self.over = False

    async def whole(self) -> dict[str, dict[str, Any]]:
        """All of it while nothing happens, by what each row is."""
        found, asked = {}, self.asked | {"limit": 200}
        while True:
            page = await self._ann.get(self.address, params=asked)
            found |= {known(row): row for row in page["items"]}
            if page["next_cursor"] is None:
                return found
            asked["cursor"] = page["next_cursor"]

    async def step(self, limit: int) -> None:
        if self.over:
            return
        asked = self.asked | {"limit": limit} | ({"cursor": self._cursor} if self._cursor else {})
        page = await self._ann.get(self.address, params=asked)
        assert len(page["items"]) <= limit
        self.seen += page["items"]
        self._cursor = page["next_cursor"]
        self.over = self._cursor is None

    async def cost(self, limit: int, count: Count) -> int:
        """How many statements a page of that size is; what others ask meanwhile is not counted."""
        found = []
        for _ in range(4):  # the first prepares
            begun = count()
            page = await self._ann.get(self.address, params=self.asked | {"limit": limit})
            found.append(count() - begun)
            assert len(page["items"]) == limit, f"{self.path}: the scene has too little of it"
        return min(found)

    async def stray(self, cursor: str) -> str:
        """What is wrong with the answer to a cursor that this list has never given."""
        answer = await self._ann.ask("GET", self.address, params=self.asked | {"cursor": cursor})
        if answer.status_code != 422:
            return f"{self.path} takes {cursor[:9]!r}"
        fields = [error["field"] for error in refused(answer, 422)["errors"]]
        return "" if fields == ["cursor"] else f"{self.path}: {fields}"


def known(row: dict[str, Any]) -> str:
    """What a row is, whatever it is called meanwhile."""
    for name in ("id", "position", "tag", "number", "day", "account", "run", "at"):
        if row.get(name) is not None:
            return f"{row.get('kind')} {name} {row[name]}"
    for name in ("workflow", "output"):
        if row.get(name) is not None:
            return known(row[name])
    return json.dumps({name: row[name] for name in ("username", "type", "name") if name in row})


async def test_pages_lose_nothing_while_rows_come_change_and_go(own: Whole) -> None:
    async with scene(own, ROWS, ROWS + ROUNDS + 2) as made:
        walks = [Walk(made, path) for path in lists()]
        before = {walk.path: await walk.whole() for walk in walks}
        for _ in range(ROUNDS):
            for walk in walks:
                await walk.step(3)
            await made.more()
            await made.change()
            await made.fewer()
        for walk in walks:
            while not walk.over:
                await walk.step(2)
        faults = [fault for walk in walks if (fault := amiss(walk, before[walk.path], await walk.whole()))]
    assert not faults, "\n".join(faults)


def amiss(walk: Walk, before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> str:
    """What is wrong with a walk. What nobody has touched must be told once, in its order."""
    untouched = [name for name, row in before.items() if after.get(name) == row]
    told = [name for row in walk.seen if (name := known(row)) in set(untouched)]
    if len(untouched) < AT_LEAST:
        return f"{walk.path}: the scene has only {len(untouched)} rows of it: {list(before)[:3]}"
    if told != untouched:
        return f"{walk.path}: told {told}, there are {untouched}"
    return ""


async def test_a_cursor_of_nobodys_is_refused(own: Whole) -> None:
    async with scene(own, 1, 2) as made:
        faults = []
        for path in lists():
            for cursor in ("x", "\0", "a" * 5_000):
                faults.append(await Walk(made, path).stray(cursor))
    assert not (found := [fault for fault in faults if fault]), "\n".join(found)


async def test_a_page_of_many_rows_asks_no_more_than_one_of_few(own: Whole, tmp_path: Path) -> None:
    """Statements, as they pass between the API and Postgres."""
    with counting(own, tmp_path) as (near, count):
        async with scene(own, MANY, MANY) as made:
            far, made.ann.http.base_url = made.ann.http.base_url, httpx.URL(near.url)
            greedy, asked = list[str](), 0
            for path in lists():
                walk = Walk(made, path)
                if path == "/templates":  # the first that there are lie in no database
                    walk.asked = {"own": True}
                few, many = [await walk.cost(limit, count) for limit in (FEW, MANY)]
                asked += many
                if few != many or many > MOST:
                    greedy.append(f"{path}: {few} statements for {FEW} rows, {many} for {MANY}")
            made.ann.http.base_url = far
    assert asked > len(lists()), "nothing is counted"
    assert not greedy, "\n".join(greedy)
