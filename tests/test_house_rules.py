"""Rules of the house that run: walked over the syntax trees of all sources."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import connectors
import exchange
import foundation
import license_registry
import zhengtong.ingest
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.errors import DomainError
from foundation.identity.errors import IDENTITY_PROBLEMS
from foundation.language import catalogue
from foundation.problems import GENERAL_PROBLEMS
from license_registry.problems import REGISTRY_PROBLEMS
from zhengtong.ingest.problems import INGEST_PROBLEMS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("foundation", "license_registry", "exchange", "connectors", "demonstration", "zhengtong")
VERBS = {"get", "post", "put", "patch", "delete"}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def routes(tree: ast.AST) -> Iterator[tuple[ast.AsyncFunctionDef | ast.FunctionDef, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            for decorator in node.decorator_list:
                if (
                    isinstance(decorator, ast.Call)
                    and isinstance(decorator.func, ast.Attribute)
                    and decorator.func.attr in VERBS
                ):
                    yield node, decorator


def unguarded(tree: ast.AST) -> list[str]:
    """Names of routes that lack authorisation (`requires(...)` or `PUBLIC`) or audit event (`audited(...)`)."""
    found = []
    for function, decorator in routes(tree):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in decorator.keywords}
        signature = ast.unparse(function.args)
        guarded = "requires(" in signature or given.get("dependencies") == "PUBLIC"
        if not guarded or not given.get("openapi_extra", "").startswith("audited("):
            found.append(function.name)
    return found


def test_every_route_names_authorisation_and_audit_event() -> None:
    counted = 0
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        counted += len(list(routes(tree)))
        assert unguarded(tree) == [], path
    assert counted > 20


@pytest.mark.parametrize(
    "text",
    [
        "@router.get('/x', openapi_extra=audited('e'))\nasync def f(): ...",
        "@router.get('/x', dependencies=PUBLIC)\nasync def f(): ...",
        "@router.post('/x', openapi_extra=audited('e'), dependencies=[])\nasync def f(caller): ...",
    ],
)
def test_the_rule_on_routes_finds_what_it_should(text: str) -> None:
    assert unguarded(ast.parse(text)) == ["f"]


def test_routes_stand_in_rooms_of_their_own() -> None:
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if list(routes(tree)):
            assert path.name in {"routes.py", "development_issuer.py"}, path


def test_connectors_import_no_web_framework() -> None:
    for name in ("connectors.pipeline", "connectors.mapping"):
        # In a fresh interpreter: here everything is loaded already.
        import subprocess
        import sys

        code = f"import {name}, sys; sys.exit('fastapi' in sys.modules or 'starlette' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, name


def errors() -> set[type[DomainError]]:
    for package in (foundation, exchange, license_registry, connectors, zhengtong.ingest):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    found: set[type[DomainError]] = set()
    waiting: list[type[DomainError]] = [DomainError]
    while waiting:
        for child in waiting.pop().__subclasses__():
            found.add(child)
            waiting.append(child)
    return found


# Refusals that never reach HTTP: a command tells them on one line.
COMMAND_LINE_ONLY = {
    "airflow-broken",
    "batch-lines-lost",  # stands in the progress of a batch
    "batch-result-broken",  # told where a result is read
    "correction-refused",
    "document-format-unknown",
    "no-windows",
    "service-ended",
    "following-already",
    "key-of-another",
    "offline-code-invalid",
    "licence-type-broken",
    "matter-layout-broken",
    "matter-layout-unknown",
    "matters-unreadable",
    "line-invalid",  # stands in the report of a job
    "row-malformed",  # stands in the result of a batch
    "store-without-lock",  # told at start
    "story-broken",
    "worker-died",
    "trust-unusable",
}


def test_every_refusal_has_its_row_in_a_problem_table_and_every_row_its_refusal() -> None:
    tables = {
        **GENERAL_PROBLEMS,
        **IDENTITY_PROBLEMS,
        **EXCHANGE_PROBLEMS,
        **REGISTRY_PROBLEMS,
        **INGEST_PROBLEMS,
    }
    codes = {error.code for error in errors() if "code" in vars(error)} - COMMAND_LINE_ONLY
    assert codes - set(tables) == set()
    assert set(tables) - set(GENERAL_PROBLEMS) - codes == set()


def messages() -> Iterator[tuple[str, Path]]:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}"
                yield str(argument.value), path


def test_every_message_has_its_chinese_and_the_catalogue_nothing_else() -> None:
    used = {message for message, _path in messages()}
    known = set(catalogue())
    assert used - known == set()
    assert known - used == set()


def test_translations_fill_in_the_same_names() -> None:
    import string

    for message, translation in catalogue().items():
        names = {name for _, name, _, _ in string.Formatter().parse(message) if name}
        assert names == {name for _, name, _, _ in string.Formatter().parse(translation) if name}, message


def test_no_room_has_a_name_that_says_nothing() -> None:
    nothing = {
        "utils.py",
        "util.py",
        "helpers.py",
        "helper.py",
        "service.py",
        "services.py",
        "manager.py",
        "common.py",
    }
    assert [path for path in sources() if path.name in nothing] == []
