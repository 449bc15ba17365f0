"""Commands on service matters: bringing them in, deciding what papers stand for, publishing, reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import click

from exchange.catalog.drafts.edit import publish_seeds
from exchange.catalog.follow import FollowedCatalogue
from exchange.catalog.resources import read_seeds
from exchange.matters import decisions, tables
from exchange.matters.deciding import Decided, Waiting, decide, waiting
from exchange.matters.examples import bring_in_examples
from exchange.matters.importing.bring_in import Report as ImportReport
from exchange.matters.importing.bring_in import bring_in
from exchange.matters.importing.layout import layout_of, layouts, named_layout, read_layout
from exchange.matters.importing.records import Record, read_records
from exchange.matters.importing.template import write_template
from exchange.matters.matching import Sureness, vocabulary
from exchange.matters.publishing import publish
from exchange.matters.report import report
from exchange.matters.routes import shown_report
from exchange.matters.settled_already import Asked, settled_already
from foundation import database
from foundation.errors import DomainError
from foundation.language import _, both
from foundation.settings import Settings
from license_registry.catalog.types import load_types
from zhengtong.command import JSON_OPTION, Refused, one_line, print_json
from zhengtong.licence_resources import licence_resources

T = TypeVar("T")

BY_OPTION = click.option("--by", "by", required=True, help="经办人 · Who does it")
MOST_TOLD = 20


@click.group(help="政务服务事项 · Service matters, and what takes the place of their papers")
def matters() -> None:
    """Hold the commands on matters."""


def with_pool(settings: Settings, work: Callable[[Any], Awaitable[T]]) -> T:
    """Do something with the database of the house."""

    async def run(address: str) -> T:
        async with database.pool(address, 2) as pool:
            return await work(pool)

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        return asyncio.run(run(address))


@matters.command("template", help="写出空白填报表 · Write the empty workbook that departments fill in")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@one_line
def template(file: Path) -> None:
    if file.exists():
        raise Refused(both(_("{file} is there already"), file=file.name))
    write_template(file)
    click.echo(both(_("Written: {file}"), file=file.name))


@matters.command(
    "import", help="接入事项清单为草稿 · Bring in lists of matters as drafts; JSON, .xlsx, .xls, .ods"
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--layout",
    help="列的布局：名称或 .json 文件，默认按表头 · Layout of the columns: a name or a .json; default: as they show",
)
@click.option(
    "--examples", is_flag=True, help="接入随附示例 · Bring in the examples that come with the program"
)
@click.option("--publish", "publishing", is_flag=True, help="随即发布 · Publish what was brought in at once")
@BY_OPTION
@JSON_OPTION
@click.pass_obj
@one_line
def import_matters(
    settings: Settings,
    files: tuple[Path, ...],
    layout: str | None,
    examples: bool,
    publishing: bool,
    by: str,
    as_json: bool,
) -> None:
    if bool(files) == examples:
        raise Refused(both(_("Name files, or say --examples")))
    now = datetime.now(UTC)
    wanted = None
    if layout is not None:
        wanted = read_layout(Path(layout)) if layout.endswith(".json") else named_layout(layout)

    async def work(pool: Any) -> tuple[list[tuple[str, ImportReport]], list[tuple[str, int]]]:
        reports, drafts = [], []
        if examples:
            drafts += await bring_in_examples(pool, by, now)
        for file in files:
            records, columns = _begun(read_records(file))
            report = await bring_in(pool, records, layout_of(columns, wanted), file.name, by, now)
            reports.append((file.name, report))
            drafts += report.drafts
        if publishing:
            catalogue = await _catalogue(settings, pool, now)
            for code, version in drafts:
                await publish(pool, catalogue, code, version, by, now)
        return reports, drafts

    reports, drafts = with_pool(settings, work)
    if as_json:
        print_json({"drafts": len(drafts), "files": [{"file": n, **asdict(each)} for n, each in reports]})
    else:
        for name, each in reports:
            _tell_import(name, each)
        click.echo(both(_("{count} new drafts"), count=f"{len(drafts):,}"))
    if any(each.bad for _name, each in reports):
        raise click.exceptions.Exit(1)


async def _catalogue(settings: Settings, pool: Any, now: datetime) -> FollowedCatalogue:
    """Return the catalogue in force, as a service would hold it."""
    await publish_seeds(pool, read_seeds(), now)
    found = FollowedCatalogue(pool, licence_resources(load_types(settings.licence_types_folder)))
    await found.refresh(now)
    return found


def _begun(records: Iterator[Record]) -> tuple[Iterator[Record], frozenset[str]]:
    """Return records, none lost, and the columns of the first that has any."""
    read: list[Record] = []
    for record in records:
        read.append(record)
        if record.values is not None:
            return chain(read, records), frozenset(record.values)
    return iter(read), frozenset()


def _tell_import(name: str, report: ImportReport) -> None:
    click.echo(
        both(
            _("{file}: {read} records, {new} new, {changed} changed, {unchanged} unchanged, {bad} bad"),
            file=name,
            read=f"{report.read:,}",
            new=f"{report.new:,}",
            changed=f"{report.changed:,}",
            unchanged=f"{report.unchanged:,}",
            bad=f"{len(report.bad):,}",
        )
    )
    for each in report.bad[:MOST_TOLD]:
        click.echo(f"  {each.row:>8,}  {each.field or '':<18} {each.reason}")
    if len(report.bad) > MOST_TOLD:
        click.echo(both(_("  and {count} more: see --json"), count=len(report.bad) - MOST_TOLD))
    for remark, count in report.remarks.items():
        click.echo(f"  {remark:<36} {count:>8,} ×")


@matters.command("candidates", help="待确认的材料名称 · Names of papers that wait for a decision")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def candidates(settings: Settings, limit: int, as_json: bool) -> None:
    found = with_pool(settings, _waiting)
    if as_json:
        print_json([asdict(each) for each in found[:limit]])
        return
    for each in found[:limit]:
        click.echo(
            f"{each.sureness:<10} {each.used:>6,} ×  {each.name}  →  {each.evidence_type} ({each.role})"
        )
    click.echo(both(_("{count} names wait"), count=f"{len(found):,}"))


async def _waiting(pool: Any) -> list[Waiting]:
    async with pool.acquire() as connection:
        decided = await decisions.all_of(connection)
        found = await tables.current(connection)
    return waiting((each.document for each in found), decided)


@matters.command(
    "confirm", help="确认材料名称对应的凭据 · Confirm what a paper's name stands for, for all matters"
)
@click.argument("name", required=False)
@click.option(
    "--as", "evidence_type", type=click.Choice(sorted(vocabulary().types)), help="凭据类型 · Evidence type"
)
@click.option("--role", help="材料所指主体的角色 · Whom the paper speaks of")
@click.option("--reason", help="理由 · Why")
@click.option(
    "--all-exact", is_flag=True, help="确认全部名称完全相同者 · All whose name is exactly a known one"
)
@BY_OPTION
@JSON_OPTION
@click.pass_obj
@one_line
def confirm(
    settings: Settings,
    name: str | None,
    evidence_type: str | None,
    role: str | None,
    reason: str | None,
    all_exact: bool,
    by: str,
    as_json: bool,
) -> None:
    if (name is None) != all_exact:
        raise Refused(both(_("Name one paper, or say --all-exact")))
    now = datetime.now(UTC)

    async def work(pool: Any) -> list[Decided]:
        wanted = [(name, evidence_type)]
        if name is None:
            exact = [each for each in await _waiting(pool) if each.sureness is Sureness.EXACT]
            wanted = [(each.name, each.evidence_type) for each in exact]
        return [
            await decide(pool, each, kind, confirm=True, role=role, reason=reason, decided_by=by, now=now)
            for each, kind in wanted
            if each is not None
        ]

    _tell_decisions(with_pool(settings, work), as_json=as_json)


@matters.command("reject", help="否定材料名称与凭据的对应 · Reject what a paper's name was taken for")
@click.argument("name")
@click.option(
    "--as", "evidence_type", type=click.Choice(sorted(vocabulary().types)), help="凭据类型 · Evidence type"
)
@click.option("--reason", help="理由 · Why")
@BY_OPTION
@JSON_OPTION
@click.pass_obj
@one_line
def reject(
    settings: Settings, name: str, evidence_type: str | None, reason: str | None, by: str, as_json: bool
) -> None:
    now = datetime.now(UTC)

    async def work(pool: Any) -> list[Decided]:
        return [await decide(pool, name, evidence_type, confirm=False, reason=reason, decided_by=by, now=now)]

    _tell_decisions(with_pool(settings, work), as_json=as_json)


def _tell_decisions(made: list[Decided], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(each) for each in made])
        return
    for each in made:
        click.echo(
            f"{each.decision.decision:<10} {each.decision.name} → {each.decision.evidence_type}"
            f"  ({each.changed_drafts:,}, {each.new_drafts:,})"
        )
        for code in each.left_out:
            click.echo(both(_("  left out, for it would grow too large: {code}"), code=code))
    changed = sum(each.changed_drafts for each in made)
    click.echo(both(_("{count} drafts of matters changed"), count=f"{changed:,}"))


@matters.command("publish", help="发布草稿 · Publish drafts")
@click.argument("codes", nargs=-1)
@click.option("--department", help="该部门的全部草稿 · All drafts of a department")
@click.option("--all-drafts", is_flag=True, help="全部草稿 · All drafts")
@BY_OPTION
@click.pass_obj
@one_line
def publish_matters(
    settings: Settings, codes: tuple[str, ...], department: str | None, all_drafts: bool, by: str
) -> None:
    if not codes and department is None and not all_drafts:
        raise Refused(both(_("Name matters, or say --department or --all-drafts")))
    now = datetime.now(UTC)

    async def work(pool: Any) -> tuple[int, list[tuple[str, DomainError]]]:
        catalogue = await _catalogue(settings, pool, now)
        async with pool.acquire() as connection:
            found = await tables.current(connection, department=department)
        drafts = [each for each in found if each.state == "draft" and (not codes or each.code in codes)]
        refused = []
        for each in drafts:
            try:
                await publish(pool, catalogue, each.code, each.version, by, now)
            except DomainError as error:
                refused.append((each.code, error))
        return len(drafts) - len(refused), refused

    done, refused = with_pool(settings, work)
    for code, error in refused:
        click.echo(f"{code}  {error.pointer or ''}  {both(error.message, **error.values)}", err=True)
    click.echo(both(_("{count} matters published"), count=f"{done:,}"))
    if refused:
        raise click.exceptions.Exit(1)


@matters.command("report", help="材料可替代情况 · What share of the papers the exchange could settle")
@click.option("--department", help="只看一个部门 · One department only")
@click.option("--published", "published_only", is_flag=True, help="只看已发布 · Published ones only")
@JSON_OPTION
@click.pass_obj
@one_line
def report_matters(settings: Settings, department: str | None, published_only: bool, as_json: bool) -> None:
    async def work(pool: Any) -> dict[str, Any]:
        async with pool.acquire() as connection:
            found = await tables.current(connection, department=department, published_only=published_only)
            decided = await decisions.all_of(connection)
        return shown_report(report((each.document for each in found), decided))

    found = with_pool(settings, work)
    if as_json:
        print_json(found)
        return
    for name in ("papers", "names"):
        click.echo(f"{name}: {found[name]['total']:,}")
        for standing, each in found[name]["standing"].items():
            click.echo(f"  {standing:<22} {each['count']:>8,}  {each['percent']:>5} %")
    for name, count in found["paper_free"].items():
        click.echo(f"{name:<24} {count:>8,} / {found['matters']:,}")
    for name, standings in found["by_evidence"].items():
        click.echo(f"{name:<24} " + "  ".join(f"{each} {count:,}" for each, count in standings.items()))


@matters.command("settled-already", help="不应再要求提交的材料 · Papers that should no longer be asked")
@JSON_OPTION
@click.pass_obj
@one_line
def settled_already_command(settings: Settings, as_json: bool) -> None:
    async def work(pool: Any) -> list[dict[str, Any]]:
        async with pool.acquire() as connection:
            found = await tables.current(connection, published_only=True)
            planned = await tables.planned(connection)
        asked = None if planned is None else {each: Asked(*counts) for each, counts in planned.items()}
        return [asdict(each) for each in settled_already((each.document for each in found), asked)]

    found = with_pool(settings, work)
    if as_json:
        print_json(found)
        return
    for each in found:
        settled = (
            "" if each["asked"] is None else f"{each['asked']['settled']:>6,} / {each['asked']['planned']:,}"
        )
        click.echo(f"{each['matter']:<34} {each['name']}  ←  {', '.join(each['evidence'])}  {settled}")
    click.echo(both(_("{count} papers should no longer be asked"), count=f"{len(found):,}"))


@matters.command("layouts", help="已知的清单布局 · Layouts of lists that are known")
@one_line
def known_layouts() -> None:
    for each in layouts().values():
        click.echo(f"{each.id:<16} {each.title}")
