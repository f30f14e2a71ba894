"""What somebody asks for, made into what is wanted: their parameters checked, or a template found and filled in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from commands.needs import Needs
from domain import preset, template
from domain.ids import AccountId, Digest, PresetId, TemplateId
from domain.preset import PRESET, PresetSaved
from domain.refusals import FieldError, Invalid, NotFound
from domain.source import TemplateSource
from domain.template import NO_TEMPLATE, TEMPLATE
from domain.workflow import Content
from workflows.chance import chance, possible
from workflows.forms import Template
from workflows.parameters import Parameters, check
from workflows.presets import PresetValues, laid_under
from workflows.registry import read_template
from workflows.values import checked
from workflows.wanted import OfTemplate, PresetUse, Values, Wanted


class FromTemplate(Struct, frozen=True, kw_only=True):
    """`template`: its id. `values`: those that are not to be as the preset, or the form, has them.

    `wildcards`: whether texts are left to chance; None: those that the form says.
    """

    template: str
    values: Mapping[str, Any]
    preset: PresetId | None = None
    wildcards: bool | None = None


class Published(Struct, frozen=True, kw_only=True):
    """Of a template of an account: whose it is, and the number of the version. `revision`: raised by every change."""

    owner: AccountId | None
    public: bool
    number: int
    revision: int


class Found(Struct, frozen=True):
    """`version`: the digest of form and graph as one document."""

    template: Template
    version: Digest
    published: Published | None = None


Asked: TypeAlias = Parameters | FromTemplate


class Asking:
    """What one request asks for: each template and each preset that it names is looked at once."""

    def __init__(self, by: AccountId, needs: Needs) -> None:
        self._by = by
        self._needs = needs
        self._templates: dict[str, Template] = {}
        self._presets: dict[PresetId, tuple[PresetSaved, PresetValues]] = {}

    async def wanted(self, asked: Asked, at: str = "") -> Wanted:
        """`at`: what the names of values begin with. Raises NotFound, Invalid with every error."""
        match asked:
            case Parameters():
                with _beginning(at):
                    check(asked)
                return asked
            case FromTemplate():
                return await self._filled(asked, at)

    async def _filled(self, asked: FromTemplate, at: str) -> OfTemplate:
        template = await self._template(asked.template)
        form, values, lists, used = template.form, asked.values, template.form.lists, None
        if asked.preset is not None:
            saved, held = await self._preset(asked.preset)
            if saved.template not in (None, asked.template):
                reason = f"It is for the template {saved.template}."
                raise Invalid("The preset is for another template.", FieldError("preset", reason))
            values, lists = laid_under(held, form, values), lists | held.lists
            used = PresetUse(str(asked.preset), saved.document.digest)
        names = chance(form, asked.wildcards)
        with _beginning(at):
            found = checked(form, values)
            possible(form, found, names, lists)
        return OfTemplate(
            id=asked.template, template=template, values=found, wildcards=names, lists=lists, preset=used
        )

    async def _template(self, id: str) -> Template:
        if id not in self._templates:
            self._templates[id] = (await find(id, self._by, self._needs)).template
        return self._templates[id]

    async def _preset(self, id: PresetId) -> tuple[PresetSaved, PresetValues]:
        if id not in self._presets:
            state, _ = await self._needs.streams.load(PRESET, id)
            saved = preset.usable(state, by=self._by)
            self._presets[id] = (saved, await preset_values(saved, self._needs))
        return self._presets[id]


async def preset_values(saved: PresetSaved, needs: Needs) -> PresetValues:
    return msgspec.json.decode(await _document(saved.document, needs), type=PresetValues)


async def find(id: str, by: AccountId, needs: Needs) -> Found:
    """A template that the account may use: of the program, of its own, or a public one. Raises NotFound."""
    if (entry := needs.templates.get(id)) is not None:
        return Found(entry.template, entry.digest)
    known = _id(id)
    if known is None:
        raise NotFound(NO_TEMPLATE)
    state, revision = await needs.streams.load(TEMPLATE, known)
    number, document = template.usable(state, by=by)
    found = read_template(await _document(document, needs))
    published = Published(owner=state.owner, public=state.public, number=number, revision=revision)
    return Found(found, document.digest, published)


async def as_recorded(source: TemplateSource, needs: Needs) -> OfTemplate:
    """What a run was made from, by the form and the graph of then."""
    kept = msgspec.json.decode(await _document(source.values, needs), type=Values)
    template = read_template(await _document(source.version, needs))
    return OfTemplate(
        id=source.template,
        template=template,
        values=kept.values,
        wildcards=kept.wildcards,
        lists=template.form.lists | kept.lists,
        draw=kept.draw,
        preset=kept.preset,
    )


@contextmanager
def _beginning(at: str) -> Iterator[None]:
    """With what the names of values begin with."""
    try:
        yield
    except Invalid as refusal:
        errors = (FieldError(f"{at}{each.field}", each.reason) for each in refusal.errors)
        raise Invalid(str(refusal), *errors) from refusal


def _id(text: str) -> TemplateId | None:
    try:
        id = UUID(text)
    except ValueError:
        return None
    return TemplateId(id) if str(id) == text else None  # each has one name


async def _document(content: Content, needs: Needs) -> bytes:
    body = await needs.contents.get(content.digest)
    if body is None:
        raise LookupError(f"The document {content.digest} is not among the contents.")
    return body
