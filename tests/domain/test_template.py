"""Templates of accounts: saved, published, withdrawn, deleted."""

from uuid import uuid4

from domain.refusals import Conflict, NotFound
from domain.template import (
    TEMPLATE,
    FormSummary,
    TemplateCreated,
    TemplateDeleted,
    TemplatePublished,
    TemplateVersionSaved,
    TemplateWithdrawn,
    create,
    delete,
    publish,
    save_version,
    usable,
    withdraw,
)
from domain.workflow import Content
from tests.domain.facts import ANN, BOB, WORKFLOW_ID, content
from tests.domain.scenario import Scenario

template = Scenario(TEMPLATE)
ABOUT = FormSummary(name="A portrait", category="generation", model_family="sdxl")
created, published, withdrawn = TemplateCreated(owner=ANN), TemplatePublished(), TemplateWithdrawn()


def saved(number: int, letter: str) -> TemplateVersionSaved:
    return TemplateVersionSaved(
        number=number, document=content(letter), about=ABOUT, workflow=WORKFLOW_ID, workflow_version=1
    )


def version(letter: str) -> dict[str, object]:
    return {
        "by": ANN,
        "document": content(letter),
        "about": ABOUT,
        "workflow": WORKFLOW_ID,
        "workflow_version": 1,
    }


def test_a_template_begins_with_its_first_version() -> None:
    template.given().when(create, owner=ANN).then(created)
    template.given(created).when(save_version, **version("a")).then(saved(1, "a"))
    template.given(created).when(create, owner=ANN).then_refused(Conflict, "exists already")


def test_whoever_saves_the_same_again_adds_nothing() -> None:
    template.given(created, saved(1, "a")).when(save_version, **version("a")).then_nothing()
    template.given(created, saved(1, "a")).when(save_version, **version("b")).then(saved(2, "b"))


def test_it_is_published_and_withdrawn_once() -> None:
    begun = (created, saved(1, "a"))
    template.given(*begun).when(publish, by=ANN).then(published)
    template.given(*begun, published).when(publish, by=ANN).then_nothing()
    template.given(*begun, published).when(withdraw, by=ANN).then(withdrawn)
    template.given(*begun).when(withdraw, by=ANN).then_nothing()


def test_it_is_deleted_once() -> None:
    begun = (created, saved(1, "a"), published)
    template.given(*begun).when(delete, by=ANN).then(withdrawn, TemplateDeleted())
    template.given(*begun, withdrawn).when(delete, by=ANN).then(TemplateDeleted())
    template.given(*begun, TemplateDeleted()).when(delete, by=ANN).then_nothing()
    template.given(*begun, TemplateDeleted()).when(publish, by=ANN).then_refused(NotFound)


def test_a_stranger_is_told_nothing() -> None:
    begun = (created, saved(1, "a"))
    for decision, more in (
        (save_version, version("b")),
        (publish, {}),
        (withdraw, {}),
        (delete, {}),
    ):
        template.given(*begun, published).when(decision, **(more | {"by": BOB})).then_refused(NotFound)


def test_everybody_uses_the_newest_version_of_a_public_one_its_owner_of_any() -> None:
    def used(by: object, *events: object) -> tuple[int, Content] | None:
        try:
            return usable(TEMPLATE.fold(TEMPLATE.initial, events), by=by)  # type: ignore[arg-type]
        except NotFound:
            return None

    begun = (created, saved(1, "a"), saved(2, "b"))
    assert used(ANN, *begun) == used(BOB, *begun, published) == (2, content("b"))
    assert used(BOB, *begun) is None
    assert used(BOB, *begun, published, withdrawn) is None
    assert used(ANN, *begun, TemplateDeleted()) is None
    assert used(uuid4()) is None
