"""Running commands in a house of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from foundation.identifiers import CitizenId
from foundation.settings import Settings
from zhengtong.cli import main

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
ROW = f"{PERSON},张三丰,男,1980-02-29,汉族,已婚,,H1,户主,990101,990102,东湖路1号,2001-05-06,正常,"

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, database_url: str) -> Run:
    """Run a command in a house of its own; whatever is not a clean exit is raised."""

    def command(*arguments: str, **environment: str) -> Result:
        given = {"ZHENGTONG_DATABASE_URL": database_url, **environment}
        done = CliRunner().invoke(main, ["--home", str(settings.home), *arguments], env=given)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return command


def one_line(done: Result) -> str:
    """Return the line that a refusal consists of."""
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("zhengtong: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def population(tmp_path: Path) -> Path:
    path = tmp_path / "population.csv"
    spoilt = ROW.replace(PERSON, PERSON[:-1] + ("1" if PERSON[-1] != "1" else "2"))
    path.write_bytes(f"{HEADER}\r\n{ROW}\r\n{ROW}\r\n{spoilt}\r\n".encode("gb18030"))
    return path
