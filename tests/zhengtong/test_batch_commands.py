"""`zhengtong batch`: operators look, departments read."""

from __future__ import annotations

from pathlib import Path

import orjson
from click.testing import CliRunner
from joserfc.jwk import ECKey

from zhengtong.cli import main


def run(home: Path, address: str, *arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(
        main, ["--home", str(home), "batch", *arguments], env={"ZHENGTONG_DATABASE_URL": address}
    )
    return found.exit_code, found.output


def test_there_are_no_batches_yet(tmp_path: Path, database_url: str) -> None:
    assert run(tmp_path, database_url, "list", "--json") == (0, "[]\n")
    code, said = run(tmp_path, database_url, "show", "7b0c1f6e-0000-4000-8000-000000000000")
    assert (code, said.count("\n")) == (1, 1)


def test_a_result_that_does_not_hold_leaves_nothing(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "key.json").write_bytes(orjson.dumps(ECKey.generate_key("P-256").as_dict(private=True)))
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (tmp_path / "result").write_text('{"statement": "a.b.c"}\n')
    names = [str(tmp_path / name) for name in ("result", "out", "key.json", "keys.json")]
    code, said = run(tmp_path, database_url, "read", *names[:2], "--key", names[2], "--keys", names[3])
    assert (code, said.count("\n")) == (1, 1)
    assert not list(tmp_path.glob("*out*"))
