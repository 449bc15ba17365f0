"""Commands that prepare a source: draft its mapping, see what it makes of a sample, and how its deliveries were."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import psycopg

from connectors.history import history
from connectors.mapping import load_mapping, parse_mapping
from connectors.mapping.draft import draft_mapping
from connectors.mapping.schema import mapping_schema
from connectors.preview import preview
from connectors.sources.files import FileSource
from connectors.sources.raw import SourceError
from connectors.sources.sample import read_header
from connectors.trend import Change, Trend, trend
from foundation import database
from foundation.language import _, both
from foundation.settings import Settings
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.stewardship import source

__all__ = ["source"]

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _span(_context: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    """Read a number of days or weeks: `30d`, `4w`."""
    if value is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,3})([dw])", value, re.ASCII)
    if found is None:
        raise click.BadParameter(_("a span is a number of days or weeks, like 30d or 4w"))
    return timedelta(days=int(found[1]) * (7 if found[2] == "w" else 1))


@source.command("preview", help="试读样本，不写入 · See what a mapping makes of a sample; writes nothing")
@click.argument("path", metavar="FILE.yaml", type=FILE)
@click.option("--sample", type=FILE, required=True, help="样本 · Sample of the data")
@click.option("--rows", type=click.IntRange(0, 1000), default=10, show_default=True)
@click.option("--reveal", is_flag=True, help="显示敏感值 · Show sensitive values as they are")
@JSON_OPTION
@one_line
def preview_source(path: Path, sample: Path, rows: int, reveal: bool, as_json: bool) -> None:
    try:
        mapping = parse_mapping(path.name.removesuffix(".yaml"), path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SourceError(_("{file} is not UTF-8"), file=path.name) from error
    found = preview(mapping, FileSource(sample, mapping), rows=rows, reveal=reveal)
    if as_json:
        print_json(asdict(found))
        return
    for row in found.rows:
        if row.reason is None:
            values = " ".join(f"{name}={value}" for name, value in row.record.items())
            remarks = " ".join(f"?{name}:{code}" for name, code in row.findings)
            click.echo(f"{row.row:>8,} {values} {remarks}".rstrip())
        else:
            click.echo(f"{row.row:>8,} ✗ {row.reason} {row.field or ''}\n         {row.raw}")
    click.echo(both(_("{read} rows, of which {bad} would wait"), read=found.read, bad=found.bad))
    for mark, counted in (("✗", found.faults), ("?", found.findings)):
        for name, codes in counted.items():
            for code, count in codes.items():
                click.echo(f"{mark} {name or '*':<24} {code:<32} {count:>10,}")
    for verdict in found.gates:
        click.echo(f"{'✓' if verdict.passed else '✗'} {verdict}")


@source.command("new", help="由样本起草映射 · Draft a mapping from a sample")
@click.argument("name")
@click.option("--sample", type=FILE, required=True, help="样本 · Sample of the data")
@click.option("--register", help="登记库；缺省为最相符者 · Register; none: the one that fits best")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="写入文件 · File to write")
@one_line
def new_source(name: str, sample: Path, register: str | None, output: Path | None) -> None:
    header, layout = read_header(sample)
    draft = draft_mapping(name, header, layout, register)
    if output is None:
        click.echo(draft.text, nl=False)
    else:
        with output.open("x", encoding="utf-8") as file:
            file.write(draft.text)
    told = _("{register}: {unmatched} columns found no field, {missing} required fields no column")
    counts = {"unmatched": len(draft.unmatched), "missing": len(draft.missing)}
    click.echo(both(told, register=draft.register, **counts), err=True)


@source.command("schema", help="映射文件的 JSON Schema · JSON Schema of mapping files")
def show_schema() -> None:
    click.echo(mapping_schema(), nl=False)


@source.command("report", help="历次接入的质量 · Quality of the deliveries of a source over time")
@click.argument("name", metavar="SOURCE")
@click.option("--runs", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option(
    "--over", callback=_span, help="与此前同样长的时段相比，如 30d、4w · Beside as many days before"
)
@JSON_OPTION
@click.pass_obj
@one_line
def report_source(settings: Settings, name: str, runs: int, over: timedelta | None, as_json: bool) -> None:
    with database.running_database(settings) as address, psycopg.connect(address) as connection:
        database.require_current_schema(address)
        if over is not None:
            _print_trend(trend(connection, name, over, datetime.now(UTC)), as_json=as_json)
            return
        found = history(connection, name, runs)
    if not found.runs:
        # One that has runs may have lost its mapping since; of one that has neither the name is wrong.
        load_mapping(name, settings.sources_folder)
    if as_json:
        print_json(asdict(found))
        return
    if not found.runs:
        click.echo(both(_("{source} was not brought in yet"), source=name))
    for run in found.runs:
        share = "" if run.quarantined_share is None else f"{run.quarantined_share:.2%}"
        state = "✗" if run.stopped else "✓" if run.finished_at is not None else "…"
        click.echo(f"{_minute(run.started_at)} {state} {_count(run.read)} {share:>8} {run.origin}")
        for reason, count in run.reasons.items():
            click.echo(f"    {reason:<32} {count:>10,}")
        for gate in run.closed:
            click.echo(f"    ✗ {gate}")
    for mark, counted in (("✗", found.faults), ("?", found.findings)):
        for field, codes in counted.items():
            for code, count in codes.items():
                click.echo(f"{mark} {field or '*':<24} {code:<32} {count:>10,}")


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _count(number: Any) -> str:
    return f"{'?' if number is None else f'{number:,}':>12}"


def _print_trend(found: Trend, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
        return
    for period in (found.previous, found.now):
        rows = both(
            _("{runs} runs, {read} rows, {late} late"),
            runs=period.runs,
            read=f"{period.read:,}",
            late=period.late,
        )
        click.echo(f"{_minute(period.since)} – {_minute(period.until)}  {rows}")
    for name, of in found.fields.items():
        if of.completeness is not None:
            click.echo(_changed("", name, both(_("complete")), of.completeness))
        click.echo(_changed("", name or "*", both(_("valid")), of.valid))
        for mark, changes in (("~", of.transformed), ("✗", of.quarantined), ("?", of.findings)):
            for code, change in changes.items():
                click.echo(_changed(mark, name or "*", code, change))


def _changed(mark: str, name: str, what: str, change: Change) -> str:
    previous, now = ("–" if share is None else f"{share:.2%}" for share in (change.previous, change.now))
    # In points: the difference of two percentages is no percentage of either.
    difference = "" if change.difference is None else f"{change.difference * 100:+.2f}"
    return f"{mark:<1} {name:<28} {what:<32} {previous:>8} → {now:>8} {difference:>8}"
