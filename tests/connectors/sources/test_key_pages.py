"""The statements, as databases would get them that no test here can run: their own quoting, their own way to say `first`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Dialect, Select
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql

from connectors.mapping.origins import SqlOrigin
from connectors.sources.key_pages import KeyPages, LastOf

PAGES = KeyPages(
    SqlOrigin.model_validate(
        {
            "kind": "sql",
            "connection": "department",
            "table": "Archive.licences",
            "key": "登记号",
            "cursor": {"kind": "timestamp", "column": "UpdatedAt"},
        }
    )
)


def spelled(statement: Select[Any], dialect: Dialect) -> str:
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    return " ".join(str(compiled).split())


def page(dialect: Dialect) -> str:
    moment = datetime(2026, 2, 1, tzinfo=UTC)
    rows = PAGES.rows(["id", "level"], moment)
    return spelled(PAGES.page(rows, (moment, "a"), 11), dialect)


def test_a_page_of_oracle() -> None:
    found = page(oracle.dialect())
    assert found.startswith(
        'SELECT id, "level", "UpdatedAt" AS steering_0, "登记号" AS steering_1 FROM "Archive".licences WHERE'
    )
    assert '("UpdatedAt" > :UpdatedAt_2 OR "UpdatedAt" = :UpdatedAt_3 AND "登记号" > :"登记号_1")' in found
    assert found.endswith('ORDER BY "UpdatedAt", "登记号" FETCH FIRST 11 ROWS ONLY')


def test_a_page_of_sql_server() -> None:
    found = page(mssql.dialect())
    assert found.startswith(
        "SELECT TOP 11 id, level, [UpdatedAt] AS steering_0, [登记号] AS steering_1 FROM [Archive].licences WHERE"
    )
    assert found.endswith("ORDER BY [UpdatedAt], [登记号]")


def test_rows_with_a_later_one_of_their_subject_are_left_out_by_names_that_are_not_ambiguous() -> None:
    rows = PAGES.rows(["id", "level"], datetime(2026, 2, 1, tzinfo=UTC), LastOf(["level"], 7))
    expected = (
        'NOT (EXISTS (SELECT 1 FROM "Archive".licences later WHERE "Archive".licences."level" = later."level"'
        ' AND later."UpdatedAt" >= :UpdatedAt_2)) ORDER BY'
    )
    assert expected in spelled(rows, oracle.dialect())
    assert "WHERE [Archive].licences.level = later.level AND" in spelled(rows, mssql.dialect())


@pytest.mark.parametrize("dialect", [oracle.dialect, mssql.dialect, mysql.dialect, postgresql.dialect])
def test_no_statement_skips_rows_or_takes_a_truth_for_a_condition(dialect: type[Dialect]) -> None:
    statements = [PAGES.header(), PAGES.lacking("登记号"), PAGES.highest(), PAGES.lowest_of_each(8)]
    said = [spelled(each, dialect()) for each in statements] + [page(dialect())]
    assert said[0].endswith("WHERE 1 = 0")
    assert "ntile(8) OVER (ORDER BY " in said[3]
    assert not any("OFFSET" in each or " is true" in each.lower() for each in said)
