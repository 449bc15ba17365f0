"""The OpenAPI 3.1 document of an application, made complete from what the routes say anyway.

FastAPI knows paths, bodies and replies. From the guard of a route follow its security and roles, from the problem table
the form of its refusals; operation ids are short and stay when a path changes, since generated clients are named by
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, WithJsonSchema

from foundation.deprecation import deprecation_of
from foundation.identity.guard import roles_of
from foundation.identity.principals import Role
from foundation.problems import PROBLEM_MEDIA_TYPE, PROBLEM_SCHEMA, ProblemTable, documented

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A moment in a reply, as it is written there: RFC 3339 with its zone."""
Day = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]
"""A day in a reply: YYYY-MM-DD."""
Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
"""A UUID in a reply."""

_REFERENCE: Final = "#/components/schemas/{model}"

SYSTEMS: Final = "systems"
PEOPLE: Final = "people"

_NOT_WORD = re.compile(r"[^a-z0-9]+")


def media(media_type: str, description: str, *, binary: bool = False) -> dict[str, Any]:
    """Return the entry of FastAPI's `responses` for a reply that is no JSON."""
    schema = {"type": "string", "format": "binary"} if binary else {"type": "string"}
    return {"description": description, "content": {media_type: {"schema": schema}}}


def operation_id(route: APIRoute) -> str:
    """Return `<tag>_<function>`: short, unique, and independent of the path."""
    tag = _NOT_WORD.sub("_", str(route.tags[0]).lower()) if route.tags else "other"
    return f"{tag}_{route.name}"


def complete(
    app: FastAPI,
    routers: Sequence[APIRouter],
    table: ProblemTable,
    tags: Mapping[str, str],
    description: str,
    audience: str,
    replies: Mapping[str, type] | None = None,
) -> None:
    """Make the document of `app` complete.

    Args:
        routers: all that the application includes.
        tags: name → description; the house rules find a route whose tag has none.
        audience: that access tokens for this application are asked for.
        replies: operation id → form of its reply of 2xx, where the route itself names none. Tests hold real replies
            against them.
    """
    app.description = description
    app.openapi_tags = [{"name": name, "description": text} for name, text in tags.items()]
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        if "Problem" not in document.get("components", {}).get("schemas", {}):
            _finish(document, list(_routes(routers)), table, audience)
            _name_replies(document, replies or {})
            _shorten_names(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI provides for it


def _routes(routers: Sequence[APIRouter]) -> Iterator[APIRoute]:
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                yield route


def _finish(
    document: dict[str, Any],
    routes: Sequence[APIRoute],
    table: ProblemTable,
    audience: str,
) -> None:
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    components["securitySchemes"] = _security_schemes(audience)
    document["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    for route in routes:
        roles = _roles(route.dependant)
        gone = deprecation_of(route.endpoint)
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            operation["security"] = _security(roles)
            if roles:
                operation["x-roles"] = sorted(roles)
            if gone is not None:
                operation["deprecated"] = True
                operation["x-sunset"] = gone.sunset.isoformat()
            _finish_replies(operation, table, guarded=bool(roles))


def _finish_replies(operation: dict[str, Any], table: ProblemTable, *, guarded: bool) -> None:
    replies = operation["responses"]
    always = documented(table, ["token-missing", "role-missing"] if guarded else [])
    for status, reply in always.items():
        replies.setdefault(str(status), reply)
    for status, reply in replies.items():
        content = reply.get("content", {})
        if (
            status.startswith("2")
            and len(content) > 1
            and content.get("application/json", {}).get("schema") == {}
        ):
            del content["application/json"]  # what FastAPI takes for granted where a route says nothing
        if PROBLEM_MEDIA_TYPE in content:
            content[PROBLEM_MEDIA_TYPE]["schema"] = {"$ref": "#/components/schemas/Problem"}


def _name_replies(document: dict[str, Any], replies: Mapping[str, type]) -> None:
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            form = replies.get(operation["operationId"])
            if form is None:
                continue
            schema = TypeAdapter(form).json_schema(ref_template=_REFERENCE, mode="serialization")
            for name, inner in {**schema.pop("$defs", {}), form.__name__: schema}.items():
                if schemas.setdefault(name, inner) != inner:
                    raise ValueError(f"two forms of replies are named {name}")
            for status, reply in operation["responses"].items():
                if status.startswith("2") and "application/json" in reply.get("content", {}):
                    reference = {"$ref": _REFERENCE.format(model=form.__name__)}
                    reply["content"]["application/json"]["schema"] = reference


def _shorten_names(document: dict[str, Any]) -> None:
    # Where two rooms have a class of one name, FastAPI names both by their modules; generators make unhandy, and from
    # the equal titles equal, classes of that. The room and the name are enough.
    schemas = document["components"]["schemas"]
    renamed = {}
    for name in [each for each in schemas if not each.isidentifier() or "__" in each]:
        short = name.replace("-", "")  # one form for requests and another for replies
        if "__" in name:
            room, own = short.split("__")[1], short.rsplit("__", 1)[1]
            short = f"{''.join(part.capitalize() for part in room.split('_'))}{own}"
        if short in schemas:
            raise ValueError(f"two forms are named {short}")
        schemas[short] = schemas.pop(name)
        renamed[_REFERENCE.format(model=name)] = _REFERENCE.format(model=short)
    if renamed:
        _refer_anew(document, renamed)
    for name, schema in schemas.items():
        if "title" in schema:
            schema["title"] = name


def _refer_anew(value: Any, renamed: Mapping[str, str]) -> None:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            value["$ref"] = renamed.get(reference, reference)
        for inner in value.values():
            _refer_anew(inner, renamed)
    elif isinstance(value, list):
        for inner in value:
            _refer_anew(inner, renamed)


def _roles(dependant: Dependant) -> frozenset[Role]:
    found: frozenset[Role] = frozenset()
    for each in dependant.dependencies:
        found |= roles_of(each.call) | _roles(each)
    return found


def _security(roles: frozenset[Role]) -> list[dict[str, list[str]]]:
    ways: list[dict[str, list[str]]] = []
    if roles - {Role.PERSON}:
        ways.append({SYSTEMS: []})
    if Role.PERSON in roles:
        ways.append({PEOPLE: []})
    return ways


def _security_schemes(audience: str) -> dict[str, Any]:
    return {
        SYSTEMS: {
            "type": "oauth2",
            "description": (
                "A department's registered system: OAuth 2 client credentials. The client authenticates by "
                f"private_key_jwt (RFC 7523) and asks for `resource={audience}`."
            ),
            "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": {}}},
        },
        PEOPLE: {
            "type": "openIdConnect",
            "description": (
                "A person: ID token of the issuer that this installation takes people from; the address here is that "
                "of the development issuer."
            ),
            "openIdConnectUrl": "/development-issuer/.well-known/openid-configuration",
        },
    }
