"""Every reply of a running house that a test sees is held against what the OpenAPI document says of it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import jsonschema_rs
import orjson

SERVICES = ("/exchange", "/registry")


class Documented:
    """The documents of one form of the house, read once in a test run: they are the same for every house."""

    def __init__(self) -> None:
        self._documents: dict[str, Any] = {}
        self._routes: dict[str, list[tuple[re.Pattern[str], dict[str, Any]]]] = {}

    def hold(self, reply: httpx.Response) -> None:
        """Raise AssertionError if a reply is not as the document of its service says.

        Looks at JSON only, and at what comes in one piece: a stream has no end to wait for.
        """
        url = reply.request.url
        service = next((each for each in SERVICES if url.path.startswith(f"{each}/v")), None)
        kind = reply.headers.get("content-type", "")
        if service is None or kind != "application/json" or "content-length" not in reply.headers:
            return
        operation = self._operation(
            service, f"{url.scheme}://{url.netloc.decode()}", url.path, reply.request.method
        )
        if operation is None:
            return
        schema = (
            operation["responses"]
            .get(str(reply.status_code), {})
            .get("content", {})
            .get("application/json", {})
            .get("schema", {})
        )
        if "$ref" not in schema:
            return
        place = f"{reply.request.method} {urlsplit(str(url)).path} → {reply.status_code}"
        body = orjson.loads(reply.read())
        form = schema["$ref"].rsplit("/", 1)[1]
        for error in self._validator(service, form).iter_errors(body):
            path = "/".join(map(str, error.instance_path))
            raise AssertionError(f"{place} is no {form}: /{path}: {error.message[:300]}")
        schema = self._documents[service]["components"]["schemas"][form]
        known = schema.get("properties")
        if known is not None and isinstance(body, dict) and schema.get("additionalProperties") is not True:
            assert body.keys() <= known.keys(), (
                f"{place} says more than {form}: {sorted(body.keys() - known.keys())}"
            )

    def _operation(self, service: str, base: str, path: str, method: str) -> dict[str, Any] | None:
        if service not in self._routes:
            document = httpx.get(f"{base}{service}/openapi.json", timeout=60).json()
            self._documents[service] = document
            self._routes[service] = [
                (re.compile(service + re.sub(r"\\?\{[^/]+?\\?\}", "[^/]+", re.escape(each))), operations)
                # What is written out stands before what is a parameter.
                for each, operations in sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
            ]
        for pattern, operations in self._routes[service]:
            if pattern.fullmatch(path) and method.lower() in operations:
                found: dict[str, Any] = operations[method.lower()]
                return found
        return None

    @cache  # noqa: B019 -- there is one of these in a test run
    def _validator(self, service: str, form: str) -> Any:
        components = self._documents[service]["components"]
        whole = {"$ref": f"#/components/schemas/{form}", "components": components}
        return jsonschema_rs.Draft202012Validator(whole)


DOCUMENTED = Documented()
