"""Commands on what is kept: reading the whole store against its digests, archiving closed matters."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import click

from foundation.errors import NotFound
from foundation.identity.principals import Principal, Role
from foundation.language import _, both
from foundation.settings import Settings
from license_registry import tables as licences
from license_registry.archive.keep import Kept, ToKeep, keep
from license_registry.documents.drawing import format_of
from license_registry.documents.keep import Given, give
from license_registry.ports import Registry
from license_registry.store.scrub import Scrubbed, scrub
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.licences import licence, with_registry

__all__ = ["licence"]

OPERATOR = Principal("zhengtong-document", "", frozenset({Role.OPERATOR}))
ARCHIVIST = Principal("zhengtong-archive", "", frozenset({Role.OPERATOR}))


@licence.command(
    "scrub", help="逐一读取存储对象并核对摘要 · Read every object and compare its digest; exit 0 or 1"
)
@JSON_OPTION
@click.pass_obj
@one_line
def scrub_command(settings: Settings, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(registry: Registry) -> Scrubbed:
        return await scrub(registry, now)

    found = with_registry(settings, now, work)
    if as_json:
        print_json(
            {
                "read": found.read,
                "findings": [
                    {"licence": each.identifier, "object": each.key, "kind": each.kind}
                    for each in found.findings
                ],
            }
        )
    else:
        click.echo(
            both(
                _("{read} objects read, {findings} altered or missing"),
                read=found.read,
                findings=len(found.findings),
            )
        )
        for each in found.findings:
            click.echo(" ".join(filter(None, ("✗", each.kind, each.identifier, each.key))))
    sys.exit(1 if found.findings else 0)


@licence.command(
    "archive",
    help="办结事项归档：证照、签名答复、文件 · Archive what a closed matter rests on, in one package",
)
@click.argument("matter")
@click.argument("case")
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--licence", "identifiers", multiple=True, help="证照标识 · Identifier of a licence")
@click.option(
    "--answer",
    "answers",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="签名答复 · Answer",
)
@click.option(
    "--document",
    "documents",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="文件 · Document",
)
@click.pass_obj
@one_line
def archive_command(
    settings: Settings,
    matter: str,
    case: str,
    output: Path,
    identifiers: tuple[str, ...],
    answers: tuple[Path, ...],
    documents: tuple[Path, ...],
) -> None:
    now = datetime.now(UTC)
    wanted = ToKeep(
        matter,
        case,
        identifiers,
        [path.read_text(encoding="ascii").strip() for path in answers],
        {path.name: path.read_bytes() for path in documents},
    )

    async def work(registry: Registry) -> Kept:
        return await keep(registry, ARCHIVIST, wanted, now, archive_id=uuid.uuid4())

    made = with_registry(settings, now, work)
    output.write_bytes(made.data)
    click.echo(both(_("Archived as {key}, {size} bytes"), key=made.archive.object_key, size=len(made.data)))


@licence.command("document", help="证照文件（PDF 或 OFD）· Write the document of a licence to a file")
@click.argument("identifier")
@click.option("--format", "form", default="pdf", show_default=True, help="pdf, ofd")
@click.option(
    "--to", "output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="文件 · File"
)
@click.pass_obj
@one_line
def document_command(settings: Settings, identifier: str, form: str, output: Path) -> None:
    now, wanted = datetime.now(UTC), format_of(form)

    async def work(registry: Registry) -> Given:
        found = await licences.find(registry.pool, identifier)
        if found is None:
            raise NotFound(_("no such licence"))
        return await give(registry, OPERATOR, found, wanted, now)

    given = with_registry(settings, now, work)
    output.write_bytes(given.data)
    click.echo(f"{output}  {len(given.data):,}  SHA-256 {given.document.sha256.hex()}")
