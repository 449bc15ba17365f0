"""Commands of those who look after the data: sources and their mappings, and the rows that wait in quarantine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import psycopg

from connectors import quarantine
from connectors.mapping import SourceMapping, load_mapping, mapping_names, parse_mapping
from connectors.replay import correct, replay
from connectors.sources.raw import SourceError
from foundation import database
from foundation.language import _, both
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.reporting import print_report


@click.group(help="数据源 · Sources and their mappings")
def source() -> None:
    """Hold the commands on sources."""


@source.command("list", help="列出数据源 · List the sources")
@JSON_OPTION
@click.pass_obj
@one_line
def list_sources(settings: Settings, as_json: bool) -> None:
    known = [load_mapping(name, settings.sources_folder) for name in mapping_names(settings.sources_folder)]
    if as_json:
        print_json([_summary(mapping) for mapping in known])
        return
    for mapping in known:
        click.echo(f"{mapping.source:<24} → {mapping.register_name:<16} {mapping.title} ({mapping.contact})")


@source.command("check", help="检查映射文件 · Check a mapping file; exit 0 or 1")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@JSON_OPTION
@one_line
def check_source(path: Path, as_json: bool) -> None:
    name = path.name.removesuffix(".yaml")
    try:
        mapping = parse_mapping(name, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SourceError(_("{file} is not UTF-8"), file=path.name) from error
    except SourceError as error:
        if not as_json:
            raise
        print_json({"source": name, "valid": False, "reason": both(error.message, **error.values)})
        sys.exit(1)
    if as_json:
        print_json({**_summary(mapping), "valid": True})
    else:
        click.echo(
            both(
                _("{source}: {count} columns into register {register}"),
                source=mapping.source,
                count=len(mapping.columns),
                register=mapping.register_name,
            )
        )


def _summary(mapping: SourceMapping) -> dict[str, object]:
    return {
        "source": mapping.source,
        "title": mapping.title,
        "contact": mapping.contact,
        "register": mapping.register_name,
        "format": mapping.format,
        "fields": [column.field for column in mapping.columns],
    }


@click.group("quarantine", help="隔离区 · Rows that could not be brought in")
def waiting() -> None:
    """Hold the commands on quarantine."""


@waiting.command("list", help="按来源与原因汇总 · By source and reason")
@click.option("--source", "name", help="只看一个来源 · One source only")
@JSON_OPTION
@click.pass_obj
@one_line
def list_waiting(settings: Settings, name: str | None, as_json: bool) -> None:
    with database.running_database(settings) as address, psycopg.connect(address) as connection:
        database.require_current_schema(address)
        groups = quarantine.groups(connection, name)
    if as_json:
        print_json([asdict(group) for group in groups])
        return
    for group in groups:
        click.echo(
            f"{group.source:<24} {group.reason:<28} {group.field or '':<24} {group.rows:>8,} × "
            f"{group.first_seen:%Y-%m-%d} – {group.last_seen:%Y-%m-%d}"
        )
    click.echo(both(_("{count} rows wait"), count=f"{sum(group.rows for group in groups):,}"))


@waiting.command("show", help="看行的样子而不看内容 · Show what rows look like, not what they say")
@click.argument("name", metavar="SOURCE")
@click.option("--reason", help="只看一种原因 · One reason only")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def show_waiting(settings: Settings, name: str, reason: str | None, limit: int, as_json: bool) -> None:
    mapping = load_mapping(name, settings.sources_folder)
    vault = open_vault(settings, datetime.now(UTC))
    with database.running_database(settings) as address, psycopg.connect(address) as connection:
        database.require_current_schema(address)
        rows = quarantine.waiting(connection, name, reason, limit)
    shown = [
        {
            "digest": row.digest.hex(),
            "part": row.part,
            "row": row.origin_row,
            "field": row.field,
            "reason": row.reason,
            "shape": quarantine.shape(
                quarantine.original(vault, row.digest, row.sealed),
                (row.layout.encoding if row.layout is not None else None)
                or mapping.encoding.replace("detect", "utf-8"),
            ),
        }
        for row in rows
    ]
    if as_json:
        print_json(shown)
        return
    for each in shown:
        click.echo(f"{each['row']:>10,} {each['reason']} {each['field'] or ''} {each['digest']}")
        click.echo(f"           {each['shape']}")


@waiting.command(
    "replay", help="按现在的映射重读待处理的行 · Read rows that wait again, by the mapping of today"
)
@click.argument("name", metavar="SOURCE")
@click.option("--reason", help="只重读一种原因 · One reason only")
@JSON_OPTION
@click.pass_obj
@one_line
def replay_waiting(settings: Settings, name: str, reason: str | None, as_json: bool) -> None:
    mapping = load_mapping(name, settings.sources_folder)
    with database.running_database(settings) as address:
        database.require_current_schema(address)
        vault = open_vault(settings, datetime.now(UTC))
        report = replay(
            mapping, database=address, vault=vault, reason=reason, sources_folder=settings.sources_folder
        )
    print_report(report, as_json=as_json)


@waiting.command("fix", help="接入更正后的一行，原件留存 · Bring in a row as corrected; its original is kept")
@click.argument("name", metavar="SOURCE")
@click.argument("digest", metavar="ROW-DIGEST")
@click.option(
    "--record",
    "file",
    type=click.File("rb"),
    required=True,
    help="JSON 对象：列名→值；- 为标准输入 · JSON object of column → value; - for standard input",
)
@click.option("--by", "editor", required=True, help="更正人 · Who corrects it")
@click.option("--reason", "why", required=True, help="更正依据 · Why")
@JSON_OPTION
@click.pass_obj
@one_line
def fix_waiting(
    settings: Settings, name: str, digest: str, file: BinaryIO, editor: str, why: str, as_json: bool
) -> None:
    mapping = load_mapping(name, settings.sources_folder)
    try:
        record = json.loads(file.read())
    except ValueError as error:
        raise SourceError(_("the corrected record is not a JSON object")) from error
    if not isinstance(record, dict):
        raise SourceError(_("the corrected record is not a JSON object"))
    with database.running_database(settings) as address:
        database.require_current_schema(address)
        with psycopg.connect(address, autocommit=True) as connection:
            rows = quarantine.with_digest(connection, name, digest)
        if len(rows) != 1:
            raise SourceError(
                _("{count} rows of {source} wait whose digest begins so"),
                count="0" if not rows else "2+",
                source=name,
            )
        report = correct(
            mapping,
            rows[0],
            record,
            editor=editor,
            why=why,
            database=address,
            vault=open_vault(settings, datetime.now(UTC)),
            sources_folder=settings.sources_folder,
        )
    print_report(report, as_json=as_json)
