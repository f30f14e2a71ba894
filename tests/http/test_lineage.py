"""What was forked from what, as far as one may see."""

from typing import Any

from adapters.http import workflow_answers
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.test_workflows import shaped


def told(tree: dict[str, Any]) -> list[tuple[int | None, str | None]]:
    return [(each["parent"], each["workflow"] and each["workflow"]["name"]) for each in tree["items"]]


async def test_a_lineage_shows_gaps_where_others_keep_to_themselves(
    ann: Person, bob: Person, nobody: Person
) -> None:
    async def forked(person: Person, source: str, name: str, *, public: bool) -> str:
        person.seen = max(ann.seen, bob.seen)
        id = str((await person.post(f"/workflows/{source}/fork", {"name": name}))["id"])
        if public:
            await person.ask("PATCH", f"/workflows/{id}", json={"public": True})
        return id

    root = await ann.workflow("root", public=True)
    between = await forked(bob, root, "between", public=False)
    left = await forked(bob, between, "left", public=True)
    await forked(bob, between, "right", public=True)
    leaf = await forked(ann, left, "leaf", public=False)
    await forked(bob, root, "unseen", public=False)

    async def asked(person: Person, workflow: str) -> dict[str, Any]:
        person.seen = max(ann.seen, bob.seen)
        tree: dict[str, Any] = await person.get(f"/workflows/{workflow}/lineage")
        shaped(workflow_answers.LineageAnswer, tree)
        return tree

    tree = await asked(nobody, root)
    assert (tree["asked"], tree["more"]) == (0, False)
    assert told(tree) == [(None, "root"), (0, None), (1, "left"), (1, "right")]
    assert between not in str(tree["items"][1])
    assert told(await asked(ann, root)) == [*told(tree), (2, "leaf")]
    assert told(await asked(bob, root)) == [
        (None, "root"),
        (0, "between"),
        (1, "left"),
        (1, "right"),
        (0, "unseen"),
    ]
    tree = await asked(ann, leaf)
    assert (tree["asked"], told(tree)) == (3, [(None, "root"), (0, None), (1, "left"), (2, "leaf")])
    refused(await nobody.ask("GET", f"/workflows/{leaf}/lineage"), 404)
    await ann.ask("DELETE", f"/workflows/{root}")
    tree = await asked(nobody, left)
    assert told(tree) == [(None, None), (0, None), (1, "left")]
