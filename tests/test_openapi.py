"""The OpenAPI documents of all applications: valid, complete, and such that clients can be made from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

import exchange.app
import foundation.openapi
import license_registry.app
import zhengtong.app
import zhengtong.ingest.routes
from foundation.deprecation import deprecated
from foundation.settings import Settings
from zhengtong.ingest.problems import INGEST_PROBLEMS

METHODS = {"get", "post", "put", "patch", "delete"}


def documents() -> dict[str, dict[str, Any]]:
    settings = Settings(home=Path("nowhere"))
    asking = exchange.app.create_app(
        SimpleNamespace(settings=settings),  # type: ignore[arg-type]  # only the document is made
        None,  # type: ignore[arg-type]
        routers=[zhengtong.ingest.routes.router],
        problems=INGEST_PROBLEMS,
    )
    holding = license_registry.app.create_app(None, None)  # type: ignore[arg-type]
    whole = zhengtong.app.create_app(settings, "postgresql://nowhere")
    return {
        "exchange": asking.app.openapi(),  # type: ignore[attr-defined]
        "registry": holding.app.openapi(),  # type: ignore[attr-defined]
        "root": whole.app.root.openapi(),  # type: ignore[attr-defined]
    }


DOCUMENTS = documents()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in document["paths"].items():
        for method, operation in found.items():
            if method in METHODS:
                yield f"{method.upper()} {path}", operation


def unnamed(operation: dict[str, Any]) -> list[str]:
    """Return the replies of 2xx that have neither a body of a named model, nor a media type of text or bytes."""
    found = []
    for status, reply in operation["responses"].items():
        for media_type, content in reply.get("content", {}).items():
            schema = content.get("schema", {})
            named = "$ref" in schema or (media_type != "application/json" and "type" in schema)
            if status.startswith("2") and not named:
                found.append(f"{status} {media_type}")
    return found


def invalid(document: dict[str, Any]) -> list[str]:
    return [
        f"{list(each.absolute_path)}: {each.message}"
        for each in OpenAPIV31SpecValidator(document).iter_errors()
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_is_valid(name: str) -> None:
    assert invalid(DOCUMENTS[name]) == []
    assert DOCUMENTS[name]["openapi"].startswith("3.1")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_route_has_a_named_reply_and_documents_its_refusals(name: str) -> None:
    for place, operation in operations(DOCUMENTS[name]):
        assert unnamed(operation) == [], place
        assert any(status.startswith(("2", "303")) for status in operation["responses"]), place
        for status, reply in operation["responses"].items():
            if status[0] in "45" and name != "root":
                schema = reply["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, f"{place} {status}"
        if operation["security"]:
            assert {"401", "403"} <= operation["responses"].keys(), place


@pytest.mark.parametrize("name", DOCUMENTS)
def test_operation_ids_are_short_and_unique(name: str) -> None:
    ids = [operation["operationId"] for _place, operation in operations(DOCUMENTS[name])]
    assert len(ids) == len(set(ids))
    assert max(map(len, ids)) <= 60


@pytest.mark.parametrize("name", DOCUMENTS)
def test_forms_have_names_that_generators_can_use(name: str) -> None:
    schemas = DOCUMENTS[name]["components"]["schemas"]
    titles = [schema.get("title", form) for form, schema in schemas.items()]
    assert len(titles) == len(set(titles))
    assert [form for form in schemas if not form.isidentifier() or "__" in form] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_tag_says_what_it_is_about(name: str) -> None:
    described = {each["name"] for each in DOCUMENTS[name]["tags"] if each["description"]}
    used = {tag for _place, operation in operations(DOCUMENTS[name]) for tag in operation["tags"]}
    assert used <= described


def test_security_follows_from_the_roles_of_a_route() -> None:
    asking = DOCUMENTS["exchange"]["paths"]
    assert asking["/v1/verifications"]["post"]["security"] == [{"systems": []}]
    assert asking["/v1/verifications"]["post"]["x-roles"] == ["department-system"]
    assert asking["/v1/me/accesses"]["get"]["security"] == [{"people": []}]
    assert asking["/v1/catalogue/resources"]["get"]["security"] == []
    checks = DOCUMENTS["registry"]["paths"]["/v1/number-checks"]["post"]
    assert checks["security"] == [{"systems": []}, {"people": []}]


def test_these_rules_find_what_they_should() -> None:
    app = FastAPI(title="t", version="1")

    @app.get("/open")
    def bare() -> dict[str, int]:
        return {}

    document = app.openapi()
    assert unnamed(document["paths"]["/open"]["get"]) == ["200 application/json"]
    document["paths"]["/open"]["get"]["responses"] = {}
    del document["info"]
    assert invalid(document)


def test_a_deprecated_route_is_marked() -> None:
    from fastapi import APIRouter

    router = APIRouter(tags=["t"])

    @router.get("/old")
    @deprecated(since=date(2025, 1, 1), sunset=date(2025, 12, 31), successor="/new")
    def old() -> dict[str, int]:
        return {}

    app = FastAPI(title="t", version="1")
    app.include_router(router)
    foundation.openapi.complete(app, [router], {}, {"t": "t"}, "d", "urn:x")
    operation = app.openapi()["paths"]["/old"]["get"]
    assert operation["deprecated"] is True
    assert operation["x-sunset"] == "2025-12-31"
