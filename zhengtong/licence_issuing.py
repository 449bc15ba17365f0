"""Commands on licence types and on issuing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from foundation.identity.principals import Principal, Role
from foundation.language import _, both
from foundation.settings import Settings
from license_registry.catalog.types import load_types, read_type
from license_registry.ports import Registry
from zhengtong.command import JSON_OPTION, Refused, one_line, print_json
from zhengtong.credential_licences import IssueReport, issue_from
from zhengtong.licences import licence, with_registry

__all__ = ["licence"]


@licence.command("types", help="证照类型 · The licence types, and what is not known of them for sure")
@JSON_OPTION
@click.pass_obj
@one_line
def types(settings: Settings, as_json: bool) -> None:
    found = load_types(settings.licence_types_folder)
    if as_json:
        print_json(
            [
                {
                    "id": each.id,
                    "version": each.version,
                    "name": each.name,
                    "type_code": each.type_code,
                    "confidence": each.type_code_confidence,
                }
                for each in found.values()
            ]
        )
        return
    for each in found.values():
        click.echo(
            f"{each.id:<24} {each.version:>3}  {each.type_code}  {each.type_code_confidence:<8} {each.name}"
        )


@licence.command("check-type", help="检查证照类型目录 · Check a folder <id>/<version> of a licence type")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@one_line
def check_type(folder: Path) -> None:
    found = read_type(folder.resolve())
    click.echo(both(_("{type} version {version} holds"), type=found.id, version=found.version))


@licence.command("issue-from", help="由已接入的证照数据签发 · Issue licences for the credentials of a source")
@click.argument("source")
@click.option("--client", "client_id", required=True, help="颁发机构的系统 · System of the issuing authority")
@JSON_OPTION
@click.pass_obj
@one_line
def issue_from_command(settings: Settings, source: str, client_id: str, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(registry: Registry) -> IssueReport:
        return await issue_from(registry, await _issuer(registry, client_id), source, now)

    report = with_registry(settings, now, work)
    if as_json:
        print_json(asdict(report))
        return
    click.echo(
        both(
            _("{rows} credentials: {issued} issued, {known} issued before, {refused} refused"),
            rows=f"{report.rows:,}",
            issued=f"{report.issued:,}",
            known=f"{report.known:,}",
            refused=f"{report.refused:,}",
        )
    )
    for reason, rows in sorted(report.reasons.items(), key=lambda each: -each[1]):
        click.echo(f"  {reason:<28} {rows:>8,} ×")
    click.echo(
        both(
            _("left out: {ended} not in force, {others} of other authorities"),
            ended=f"{report.not_in_force:,}",
            others=f"{report.of_others:,}",
        )
    )


async def _issuer(registry: Registry, client_id: str) -> Principal:
    row = await registry.pool.fetchrow(
        "SELECT department, roles FROM identity.client WHERE client_id = $1 AND disabled_at IS NULL",
        client_id,
    )
    if row is None or Role.ISSUING_AUTHORITY not in row["roles"]:
        raise Refused(both(_("{client} is no system of an issuing authority"), client=client_id))
    return Principal(client_id, row["department"], frozenset({Role.ISSUING_AUTHORITY}))
