"""The command that verifies a log, with nothing but what is published of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from foundation.language import _, both
from foundation.ledger import (
    VERIFIER_KEY_FILE,
    CheckpointError,
    DirectoryTiles,
    LogProblem,
    Record,
    TileError,
    TileReader,
    VerifierKey,
    read_records,
    verify_log,
)
from foundation.ledger.http_tiles import HttpTiles
from zhengtong.command import JSON_OPTION, Refused, one_line, print_json


@click.command("verify-log", help="验证日志：树、检查点、记录 · Verify a log; exit 0 or 1")
@click.argument("where")
@click.option("--key", "key_text", help="日志公钥 · The log's verifier key `name+hash+key`, from elsewhere")
@click.option(
    "--records",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="审计导出 · Records exported for auditors, checked against their leaves",
)
@JSON_OPTION
@one_line
def verify_log_command(where: str, key_text: str | None, records: tuple[Path, ...], as_json: bool) -> None:
    remote = where.startswith(("http://", "https://"))
    reader: TileReader = HttpTiles(where) if remote else DirectoryTiles(Path(where))
    try:
        text = key_text if key_text is not None else reader.read(VERIFIER_KEY_FILE).decode("ascii").strip()
        key = VerifierKey.parse(text)
    except (TileError, CheckpointError, UnicodeDecodeError) as error:
        raise Refused(both(_("no verifier key of the log: {reason}"), reason=error)) from error
    report = verify_log(reader, key, _records(records) if records else None)
    problems = [{k: v for k, v in asdict(p).items() if v is not None} for p in report.problems]
    if as_json:
        print_json(
            {
                "origin": report.origin,
                "size": report.size,
                "root": report.root_hex,
                "checkpoint": report.checkpoint_ok,
                "key_from": "published beside the log" if key_text is None else "given",
                "records_checked": report.records_checked,
                "records_erased": report.records_erased,
                "problems": problems,
            }
        )
    else:
        click.echo(f"{both(_('size'))} {report.size:,}  {both(_('root'))} {report.root_hex}")
        click.echo(f"{both(_('checkpoint signature'))} {'✓' if report.checkpoint_ok else '✗'}")
        click.echo(f"{both(_('records checked'))} {report.records_checked:,}")
        for problem in problems:
            place = " ".join(f"{k}={v}" for k, v in problem.items() if k not in {"code", "message"})
            click.echo(f"✗ {problem['code']}: {problem['message']} {place}".rstrip())
    sys.exit(0 if report.ok else 1)


def _records(paths: tuple[Path, ...]) -> Iterator[Record | LogProblem]:
    for path in paths:
        with path.open("rb") as file:
            yield from read_records(file)
