"""What somebody asks for, made into what is wanted: their parameters checked, or a template found and filled in."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from commands.needs import Needs
from domain.ids import AccountId
from domain.refusals import FieldError, Invalid, NotFound
from domain.source import TemplateSource
from domain.workflow import Content
from workflows.forms import Template
from workflows.parameters import Parameters, check
from workflows.registry import read_template
from workflows.values import checked
from workflows.wanted import OfTemplate, Values, Wanted

NO_TEMPLATE = "There is no such template."


class FromTemplate(Struct, frozen=True, kw_only=True):
    """`template`: its id. `values`: those that are not to be as the form has them."""

    template: str
    values: Mapping[str, Any]


Asked: TypeAlias = Parameters | FromTemplate


async def wanted(asked: Asked, by: AccountId, needs: Needs, at: str = "") -> Wanted:
    """`at`: what the names of values begin with. Raises NotFound, Invalid with every error."""
    try:
        match asked:
            case Parameters():
                check(asked)
                return asked
            case FromTemplate(template=id, values=values):
                template = await find(id, by, needs)
                return OfTemplate(id, template, checked(template.form, values))
    except Invalid as refusal:
        errors = (FieldError(f"{at}{each.field}", each.reason) for each in refusal.errors)
        raise Invalid(str(refusal), *errors) from refusal


async def find(id: str, by: AccountId, needs: Needs) -> Template:
    """A template that the account may use. Raises NotFound."""
    entry = needs.templates.get(id)
    if entry is None:
        raise NotFound(NO_TEMPLATE)
    return entry.template


async def as_recorded(source: TemplateSource, needs: Needs) -> OfTemplate:
    """What a run was made from, by the form and the graph of then."""
    values = msgspec.json.decode(await _document(source.values, needs), type=Values).values
    return OfTemplate(source.template, read_template(await _document(source.version, needs)), values)


async def _document(content: Content, needs: Needs) -> bytes:
    body = await needs.contents.get(content.digest)
    if body is None:
        raise LookupError(f"The document {content.digest} is not among the contents.")
    return body
