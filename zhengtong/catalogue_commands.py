"""Commands on the catalogue of data resources: take a file in as drafts, give it out, search it, judge it.

They work on the database itself, for the operator; departments and the sharing authority do the same over HTTP.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from exchange.catalog import measured, tables
from exchange.catalog.drafts.edit import publish_seeds
from exchange.catalog.follow import FollowedCatalogue
from exchange.catalog.formats.bring_in import Format, bring_in, in_order, read
from exchange.catalog.formats.dcat import to_json_ld
from exchange.catalog.formats.workbook import to_workbook
from exchange.catalog.report import report
from exchange.catalog.resources import read_seeds
from exchange.catalog.search import LIMIT, Index
from foundation import database
from foundation.identifiers import IdentifierError, Uscc
from foundation.language import _, both
from foundation.settings import Settings
from license_registry.catalog.types import load_types
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.licence_resources import licence_resources

OPERATOR = "operator"
"""Stands for who drafted by command."""

_T = TypeVar("_T")


@click.group(help="数据资源目录 · Catalogue of data resources")
def catalogue() -> None:
    """Hold the commands on the catalogue."""


def _department(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(Uscc.parse(value))
    except IdentifierError as error:
        raise click.BadParameter(str(error)) from error


@catalogue.command("import", help="导入为草稿 · Take a file in as drafts; exit 1 if a row is bad")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--department",
    callback=_department,
    help="未注明部门的资源归属 · USCC of the department of entries that name none",
)
@JSON_OPTION
@click.pass_obj
@one_line
def import_file(settings: Settings, path: Path, department: str | None, as_json: bool) -> None:
    contents = read(path.read_bytes(), _format(path), department, every=True)
    done = _with_pool(settings, lambda pool: bring_in(pool, contents, OPERATOR, datetime.now(UTC)))
    bad = in_order(done.bad)
    if as_json:
        print_json(asdict(done) | {"bad": [asdict(each) for each in bad]})
    else:
        click.echo(
            both(
                _("{drafted} drafted, {unchanged} unchanged, {bad} rows bad"),
                drafted=len(done.drafted),
                unchanged=len(done.unchanged),
                bad=len(bad),
            )
        )
        for each in bad:
            click.echo(f"✗ {each.sheet} {each.row} {each.field}: {each.reason} {each.detail}".rstrip())
    sys.exit(1 if bad else 0)


@catalogue.command(
    "export", help="导出 · Give the catalogue out: .xlsx is a workbook, anything else DCAT as JSON-LD"
)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
@one_line
def export_file(settings: Settings, path: Path) -> None:
    documents = _in_force(settings).documents()
    if _format(path) == Format.WORKBOOK:
        path.write_bytes(to_workbook(documents))
    else:
        path.write_bytes(orjson.dumps(to_json_ld(documents), option=orjson.OPT_INDENT_2))
    click.echo(both(_("{count} resources written to {file}"), count=len(documents), file=path.name))


@catalogue.command("search", help="检索：名称、拼音、同义词、英文 · Search by name, pinyin, synonym, English")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, LIMIT), default=20, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def search(settings: Settings, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    hits = Index().search(_in_force(settings).snapshot(), " ".join(words), limit)
    if as_json:
        print_json(
            [
                {
                    "id": hit.resource.id,
                    "title": hit.resource.title,
                    "title_en": hit.resource.title_en,
                    "owner": hit.resource.owner,
                    "score": hit.score,
                    "matched": hit.matched,
                }
                for hit in hits
            ]
        )
        return
    for hit in hits:
        click.echo(f"{hit.score:>6.1f} {hit.resource.id:<32} {hit.resource.title} ({hit.matched})")


@catalogue.command(
    "report", help="目录问题：一数多源、更新逾期、无依据不共享 · What is wrong with the catalogue"
)
@JSON_OPTION
@click.pass_obj
@one_line
def faults(settings: Settings, as_json: bool) -> None:
    async def judge(pool: Any) -> dict[str, Any]:
        resources = list((await _follow(settings, pool)).snapshot().values())
        sources = frozenset(name for each in resources for name in measured.sources_of(each))
        opened = await tables.open_versions(pool, None)
        delivered = await measured.deliveries(pool, sources)
        return asdict(report(resources, opened, delivered, datetime.now(UTC)))

    found = _with_pool(settings, judge)
    if as_json:
        print_json(found)
        return
    for each in found["several_sources"]:
        told = "; ".join(f"{source}: {', '.join(ids)}" for source, ids in each["resources"].items())
        click.echo(f"✗ {both(_('several lead sources'))} {each['subject_kind']} {each['title']}: {told}")
    for each in found["late"]:
        click.echo(f"✗ {both(_('late'))} {each['resource']} {each['promised']} ({each['owner']})")
    for each in found["without_legal_basis"]:
        click.echo(f"✗ {both(_('not shared without legal basis'))} {each['resource']} {each['version']}")


def _format(path: Path) -> Format:
    return Format.WORKBOOK if path.suffix.lower() == ".xlsx" else Format.JSON_LD


def _in_force(settings: Settings) -> FollowedCatalogue:
    return _with_pool(settings, lambda pool: _follow(settings, pool))


async def _follow(settings: Settings, pool: Any) -> FollowedCatalogue:
    now = datetime.now(UTC)
    await publish_seeds(pool, read_seeds(), now)
    found = FollowedCatalogue(pool, licence_resources(load_types(settings.licence_types_folder)))
    await found.refresh(now)
    return found


def _with_pool(settings: Settings, work: Callable[[Any], Awaitable[_T]]) -> _T:
    async def connected(address: str) -> _T:
        async with database.pool(address, 1) as pool:
            return await work(pool)

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        return asyncio.run(connected(address))
