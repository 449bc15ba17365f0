"""Commands on links: records that may be of one subject, for a person to decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import click
import psycopg

from connectors.linking import LIKENESS, find_links
from exchange.registers import aliases, links
from exchange.registers.schemas import load_registers
from foundation import database
from foundation.errors import NotFound
from foundation.language import _, both
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from zhengtong.command import JSON_OPTION, Refused, one_line, print_json

REGISTER = click.argument("register", type=click.Choice(sorted(LIKENESS)))


@click.group(help="主体关联 · Records that may be of one subject")
def link() -> None:
    """Hold the commands on links."""


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    with database.running_database(settings) as address:
        database.require_current_schema(address)
        yield address


@link.command("find", help="查找可能属于同一主体的记录 · Search a register; nothing is merged")
@REGISTER
@JSON_OPTION
@click.pass_obj
@one_line
def find(settings: Settings, register: str, as_json: bool) -> None:
    now = datetime.now(UTC)
    with _database(settings) as address:
        report = find_links(address, open_vault(settings, now), load_registers()[register], now)
    if as_json:
        print_json(asdict(report))
        return
    click.echo(
        both(
            _("{records} records: {strong} linked by an identifier, {candidates} candidates, {new} new"),
            records=f"{report.records:,}",
            strong=f"{report.strong:,}",
            candidates=f"{report.candidates:,}",
            new=f"{report.new:,}",
        )
    )
    if report.ambiguous:
        click.echo(
            both(_("Identifiers that lead to several subjects: {count}"), count=f"{report.ambiguous:,}")
        )


@link.command("list", help="待确认的候选关联 · Candidates that wait for a decision")
@REGISTER
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def list_candidates(settings: Settings, register: str, limit: int, as_json: bool) -> None:
    with _database(settings) as address, psycopg.connect(address) as connection:
        found = links.waiting(connection, register, limit)
    shown = [
        {
            "subject": each.link.subject.hex(),
            "other": each.link.other.hex(),
            "score": each.link.score,
            "evidence": each.link.evidence,
        }
        for each in found
    ]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        click.echo(f"{one['score']:.3f} {one['subject']} {one['other']} {one['evidence']}")


@link.command(
    "aliases", help="其他标识及其指向的主体 · Other identifiers, and the subjects that they lead to"
)
@REGISTER
@click.option(
    "--ambiguous", is_flag=True, help="只列出指向多个主体的 · Only those that lead to several subjects"
)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def list_aliases(settings: Settings, register: str, ambiguous: bool, limit: int, as_json: bool) -> None:
    with _database(settings) as address, psycopg.connect(address) as connection:
        found = aliases.listed(connection, register, only_ambiguous=ambiguous, limit=limit)
    shown = [
        {
            "alias": each.alias.hex(),
            "subject": each.subject.hex(),
            "basis": each.basis,
            "since": each.valid_from.isoformat(),
            "subjects": each.subjects,
        }
        for each in found
    ]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        click.echo(f"{one['alias']} {one['subject']} {one['basis']} {one['since']} {one['subjects']}")


@link.command("decide", help="确认是否同一主体 · Decide whether two records are of one subject")
@REGISTER
@click.argument("subject")
@click.argument("other")
@click.argument("decision", type=click.Choice(["same", "different"]))
@click.option("--by", required=True, help="经办人 · Who decides")
@click.pass_obj
@one_line
def decide(settings: Settings, register: str, subject: str, other: str, decision: str, by: str) -> None:
    try:
        pair = bytes.fromhex(subject), bytes.fromhex(other)
    except ValueError as error:
        raise Refused(
            both(_("subjects are written in hexadecimal digits, as `link list` shows them"))
        ) from error
    with _database(settings) as address, psycopg.connect(address) as connection:
        known = links.decide(connection, register, *pair, decision, by, datetime.now(UTC))
    if not known:
        raise NotFound(_("there is no such link"))
    click.echo(both(_("Decided: {decision}"), decision=decision))
