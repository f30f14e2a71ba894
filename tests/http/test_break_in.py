"""Attacks on every route there is, made from the routes themselves: a new one is attacked without being listed here."""

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args
from uuid import UUID

import httpx
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import inspect
from PIL import Image

from adapters.http.app import API, ROUTES
from adapters.http.bodies import StrictBody
from adapters.http.callers import DEPENDENCIES
from adapters.http.foreseen import asked_for
from tests.http.administrators import administrator
from tests.http.document import document
from tests.http.log import deeds
from tests.http.person import Person
from tests.http.samples import sample
from tests.http.test_isolation import ADMIN, Things, belongings, things
from tests.http.whole import Whole

__all__ = ["things"]

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
INERT = ("application/json", "application/problem+json", "application/schema+json", "application/zip")
MORE_INERT = ("application/octet-stream", "text/event-stream", "image/png", "image/jpeg", "image/webp")
"""No browser runs anything in these."""
SMUGGLED = {
    "id": str(UUID(int=1)),
    "owner": str(UUID(int=1)),
    "role": "admin",
    "is_admin": True,
    "zz": SCRIPT,
}
ENDING = ("/auth/", "/accounts/me")
"""What ends sessions or accounts is not asked with bodies that might be taken."""
PIXEL = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)


@cache
def handlers() -> tuple[tuple[str, str, Any], ...]:
    """(method, path below /api/v1, handler) of every route."""
    app = Litestar(ROUTES, dependencies=DEPENDENCIES, openapi_config=None, logging_config=None)
    return tuple(
        (str(method), route.path.removeprefix(API.path), handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in sorted(handler.http_methods)
        if method != "OPTIONS"
    )


def forms(handler: Any) -> list[Any]:
    """The Structs that its body may be."""
    annotation = handler.parsed_data_field.annotation
    return [inspect.type_info(each) for each in get_args(annotation) or (annotation,)]


def structs(found: Any) -> Iterator[Any]:
    """All Structs in a type."""
    if isinstance(found, inspect.StructType):
        yield found.cls
        for field in found.fields:
            yield from structs(field.type)
    for name in ("types", "item_types"):
        for each in getattr(found, name, ()):
            yield from structs(each)
    for name in ("item_type", "key_type", "value_type", "type"):
        if (inner := getattr(found, name, None)) is not None:
            yield from structs(inner)


def bare(found: Any) -> Any:
    """A field's type without what it may be instead of it, and without its bounds."""
    while isinstance(found, inspect.Metadata):
        found = found.type
    if isinstance(found, inspect.UnionType):
        left = [bare(each) for each in found.types]
        return next(
            (each for each in left if not isinstance(each, inspect.NoneType | inspect.AnyType)), found
        )
    return found


def with_body() -> list[tuple[str, str, Any]]:
    return [each for each in handlers() if each[2].parsed_data_field is not None]


def test_every_body_is_read_strictly() -> None:
    """What a Struct does not know is refused by name: nobody makes themselves an owner or an administrator."""
    assert len(with_body()) > 50
    for method, path, handler in with_body():
        dto = handler.resolve_data_dto()
        assert dto is not None, f"{method} {path}: give it `dto=StrictBody[...]`"
        assert issubclass(dto, StrictBody), f"{method} {path}: give it `dto=StrictBody[...]`"
        for form in forms(handler):
            for struct_ in structs(form):
                strict = struct_.__struct_config__.forbid_unknown_fields
                assert strict, f"{method} {path}: {struct_.__name__} needs `forbid_unknown_fields=True`"


def test_no_route_is_opened_by_a_cookie() -> None:
    """A browser sends cookies along for anybody's page; headers it does not. So there is nothing to forge."""
    told = document()
    for scheme in told["components"]["securitySchemes"].values():
        assert scheme.get("in") != "cookie"
    for path, operations in told["paths"].items():
        for parameter in (each for verb in operations.values() for each in verb.get("parameters", ())):
            assert parameter["in"] != "cookie", (
                f"{path} reads the cookie {parameter['name']}: who protects it?"
            )


async def test_a_token_in_a_cookie_is_none(served: Whole, things: Things, nobody: Person) -> None:
    before, token = deeds(served), things.ann.http.headers["Authorization"].partition(" ")[2]
    names = ("access_token", "token", "session", "Authorization", "jwt", "auth")
    cookie = "; ".join(f"{name}={token}" for name in names)
    for method, path, handler in handlers():
        if not {"caller", "leaver"} & set(asked_for(handler)) or path.endswith("/live"):
            continue
        asked = {"json": sample(method, path)} if handler.parsed_data_field is not None else {}
        told = await nobody.ask(method, things.path(path), **asked, headers={"Cookie": cookie})
        assert told.status_code in (401, 422), f"{method} {path} is opened by a cookie"
        assert "set-cookie" not in told.headers, f"{method} {path} sets a cookie"
    assert deeds(served) == before


async def test_fields_that_are_smuggled_in_are_refused_by_every_route(served: Whole) -> None:
    async with administrator(served) as admin, belongings(served, admin) as things:
        before = deeds(served)
        for method, path, _ in with_body():
            body = sample(method, path) | SMUGGLED
            answer = await admin.ask(method, things.path(path), json=body)
            assert answer.status_code == 422, f"{method} {path} takes {sorted(SMUGGLED)}: {answer.text[:300]}"
            assert any(each["field"] == "zz" for each in answer.json()["errors"]), f"{method} {path}"
        assert deeds(served) == before


async def test_ids_of_others_in_bodies_and_queries_open_nothing(
    served: Whole, things: Things, bob: Person
) -> None:
    """As in addresses: what is not one's own is not there, and nothing of it is told."""
    before, asked = deeds(served), 0
    secrets = ("secret of ann's", "A note of ann's", "secret-of-ann", "A character")
    for method, path, handler in handlers():
        if "{" in path or (method, path) in ADMIN:
            continue
        for name in uuids(handler):
            theirs = things.named().get(f"{{{name}:uuid}}")
            if theirs is None:
                continue
            in_body = handler.parsed_data_field is not None
            request = (
                {"json": sample(method, path) | {name: theirs}} if in_body else {"params": {name: theirs}}
            )
            answer = await bob.ask(method, path, **request)
            asked += 1
            where = f"{method} {path} with ann's {name}"
            if in_body:
                assert answer.status_code in (404, 422), f"{where} answers {answer.status_code} {answer.text}"
            for secret in secrets:
                assert secret not in answer.text, where
            assert answer.status_code >= 400 or not answer.json().get("items"), where
    assert asked >= 3
    assert deeds(served) == before


EACH = (("POST", "/outputs/bulk"), ("POST", "/outputs/zip"))
"""What is asked of many things at once is answered for each."""


async def test_ids_of_others_anywhere_in_a_body_open_nothing(
    served: Whole, things: Things, bob: Person
) -> None:
    """Beside things of one's own in the address: a foreign comment is not answered, a foreign picture not borrowed."""
    secrets = ("secret of ann's", "A note of ann's", "secret-of-ann", "A character", "ann's picture")
    theirs = {
        "run": things.run,
        "parent": things.comment,
        "preset": things.preset,
        "workflow": things.workflow,
        "outputs": things.output["id"],
        "id": things.workflow,  # the samples say that it is one
    }
    asked = set()
    async with belongings(served, bob) as own:
        before = deeds(served)
        for method, path, handler in with_body():
            if (method, path) in ADMIN or path.startswith(ENDING):
                continue
            for at in sorted({at for form in forms(handler) for at in ids(form)}, key=str):
                (*_, name) = (each for each in at if isinstance(each, str))
                body = placed(sample(method, path), at, theirs[name])
                answer = await bob.ask(method, own.path(path), json=body)
                where = f"{method} {path} with ann's {name} answers {answer.status_code} {answer.text[:300]}"
                if (method, path) in EACH:
                    assert answer.status_code == 404 or not any(e["done"] for e in answer.json()["items"]), (
                        where
                    )
                else:
                    assert answer.status_code in (404, 409, 422), where
                assert not any(secret in answer.text for secret in secrets), where
                assert deeds(served) == before, where
                asked.add((path, name))
    assert len(asked) >= 15, "hardly any id was asked with: do the samples still fit?"


def ids(found: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a body holds ids: the names of fields, and 0 for each of many."""
    kind = bare(found)
    if isinstance(kind, inspect.UUIDType):
        yield at
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from ids(field.type, (*at, field.encode_name))
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from ids(each, at)
    else:
        for each in (getattr(kind, "item_type", None), *getattr(kind, "item_types", ())):
            if each is not None:
                yield from ids(each, (*at, 0))


def placed(body: Any, at: tuple[str | int, ...], id: str) -> Any:
    """The body with an id in that place."""
    if not at:
        return id
    first, *rest = at
    if first == 0:
        return [placed(body[0] if isinstance(body, list) and body else {}, tuple(rest), id)]
    inner = body.get(first) if isinstance(body, dict) else None
    kind = {"kind": "workflow"} if first == "id" and "kind" not in body else {}
    return body | kind | {first: placed({} if inner is None else inner, tuple(rest), id)}


def uuids(handler: Any) -> Iterator[str]:
    """The names of the ids that it reads in its body or its query."""
    if handler.parsed_data_field is not None:
        for form in forms(handler):
            for field in form.fields:
                if isinstance(bare(field.type), inspect.UUIDType):
                    yield field.encode_name
        return
    for name, parameter in handler.parsed_fn_signature.parameters.items():
        kinds = {parameter.annotation, *(each.annotation for each in parameter.inner_types)}
        if UUID in kinds:
            yield name


def inert(answer: httpx.Response) -> None:
    """Nothing that a browser would run, whatever is in it."""
    where = f"{answer.request.method} {answer.request.url}"
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff", where
    assert "default-src 'none'" in headers["content-security-policy"], where
    if answer.status_code in (204, 304, 307):
        return
    kind = headers["content-type"].partition(";")[0]
    assert kind in INERT + MORE_INERT, f"{where} answers {kind}: is it safe to show?"
    if not answer.headers["content-type"].startswith(("application/", "image/", "text/event-stream")):
        assert headers["content-disposition"].startswith("attachment"), where


async def test_scripts_come_back_inert_wherever_they_were_put(served: Whole) -> None:
    async with administrator(served) as admin, belongings(served, admin) as things:
        taken = 0
        for method, path, handler in with_body():
            if path.startswith(ENDING) or path.startswith("/admin/queue"):
                continue
            for form in forms(handler):
                for field in form.fields:
                    if isinstance(bare(field.type), inspect.StrType):
                        body = sample(method, path) | {field.encode_name: SCRIPT}
                        asked = {"json": body} | ({"params": {"wait_s": 0}} if path.endswith("/sync") else {})
                        answer = await admin.ask(method, things.path(path), **asked)
                        inert(answer)
                        taken += answer.is_success
        assert taken >= 10, "hardly any script was taken: do the samples still fit?"
        seen = 0
        for method, path, _ in handlers():
            if method == "GET" and not path.startswith(("/health", "/schema")) and not path.endswith("/live"):
                answer = await admin.ask("GET", things.path(path))
                inert(answer)
                seen += "<script>" in answer.text
        assert seen >= 3, "no script came back: where have they gone?"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bombs() -> dict[str, bytes]:
    """Files that are small, and something else than they seem."""
    head = b"\x89PNG\r\n\x1a\n"
    monstrous = head + chunk(PIXEL[:4], PIXEL[4:]) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    packed = zlib.compress(bytes(200 * 2**20), 9)
    plain = io.BytesIO()
    Image.new("RGB", (4, 4)).save(plain, "PNG")
    texts = plain.getvalue()[:33] + chunk(b"zTXt", b"prompt\0\0" + packed)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">{SCRIPT}</svg>'.encode()
    entities = b'<!DOCTYPE a [<!ENTITY b "' + b"b" * 1000 + b'">]><svg>' + b"&b;" * 1000 + b"</svg>"
    return {
        "pixels.png": monstrous,
        "texts.png": texts + chunk(b"IEND", b""),
        "a.svg": svg,
        "entities.svg": entities,
        "a.html": SCRIPT.encode(),
        "../../../etc/passwd.png": b"GIF89a" + SCRIPT.encode(),
    }


def forms_with_files() -> list[tuple[str, str, str]]:
    return [
        (method.upper(), path.removeprefix(API.path).replace("}", ":uuid}"), next(iter(fields["properties"])))
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
        if kind == "multipart/form-data"
        for fields in (content["schema"],)
    ]


async def test_files_that_are_bombs_are_refused_everywhere(served: Whole, things: Things) -> None:
    asked = forms_with_files()
    assert len(asked) >= 2
    before, files_sent = deeds(served), bombs()
    for method, path, field in asked:
        for name, body in files_sent.items():
            files = {field: (name, body, "image/png")}
            answer = await things.ann.ask(method, things.path(path), files=files)
            inert(answer)
            assert 400 <= answer.status_code < 500, f"{method} {path} takes {name}"
            assert SCRIPT not in answer.text
    assert deeds(served) == before


async def test_a_photo_tells_nothing_of_where_it_was_taken(ann: Person) -> None:
    taken, body = Image.new("RGB", (16, 16), (1, 2, 3)), io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "My garden"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    taken.save(body, "JPEG", exif=exif, comment=b"My garden")
    assert b"My garden" in body.getvalue()
    stored = await ann.upload(body.getvalue(), "garden.jpg")
    kept = await ann.ask("GET", f"/inputs/{stored['id']}/image")
    inert(kept)
    assert b"My garden" not in kept.content
    shown = Image.open(io.BytesIO(kept.content))
    assert not shown.getexif()
    assert not shown.info.get("comment")
