"""What somebody asks for, made into what is wanted: their parameters checked, or a template found and filled in."""

from collections.abc import Mapping
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from commands.needs import Needs
from domain import template
from domain.ids import AccountId, Digest, TemplateId
from domain.refusals import FieldError, Invalid, NotFound
from domain.source import TemplateSource
from domain.template import NO_TEMPLATE, TEMPLATE
from domain.workflow import Content
from workflows.forms import Template
from workflows.parameters import Parameters, check
from workflows.registry import read_template
from workflows.values import checked
from workflows.wanted import OfTemplate, Values, Wanted


class FromTemplate(Struct, frozen=True, kw_only=True):
    """`template`: its id. `values`: those that are not to be as the form has them."""

    template: str
    values: Mapping[str, Any]


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


async def wanted(asked: Asked, by: AccountId, needs: Needs, at: str = "") -> Wanted:
    """`at`: what the names of values begin with. Raises NotFound, Invalid with every error."""
    try:
        match asked:
            case Parameters():
                check(asked)
                return asked
            case FromTemplate(template=id, values=values):
                found = (await find(id, by, needs)).template
                return OfTemplate(id, found, checked(found.form, values))
    except Invalid as refusal:
        errors = (FieldError(f"{at}{each.field}", each.reason) for each in refusal.errors)
        raise Invalid(str(refusal), *errors) from refusal


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
    values = msgspec.json.decode(await _document(source.values, needs), type=Values).values
    return OfTemplate(source.template, read_template(await _document(source.version, needs)), values)


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
