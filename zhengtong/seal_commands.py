"""Commands on electronic seals: made, shown, changed by the operator, and checked as files."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from foundation.errors import NotFound
from foundation.identity.principals import Principal, Role
from foundation.language import _, both
from foundation.settings import Settings
from foundation.signing.chain import load_roots
from license_registry.ports import Registry
from license_registry.seals import tables
from license_registry.seals.checks import SEAL_CHECK_NAMES, Checked, check_seal, check_stamp, sm3
from license_registry.seals.keys import chain
from license_registry.seals.register import SealWanted, change, register
from license_registry.seals.revocation import Revocations, read_revocation_lists
from license_registry.seals.routes import SealReply, SealSummary, shown, summarised
from license_registry.seals.states import SealKind, SealOperation, SealState
from license_registry.seals.structures import Seal, SealMalformed, read_seal, read_stamp
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.licences import with_registry

OPERATOR = Principal("operator-command", "", frozenset({Role.OPERATOR}))
_DAY = click.DateTime(["%Y-%m-%d"])
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_MARKS = {True: "✓", False: "✗", None: "?"}


@click.group(help="电子印章 · Electronic seals")
def seal() -> None:
    """Hold the commands on seals."""


def _told(found: SealSummary, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for name in ("id", "authority", "kind", "name", "state", "valid_from", "valid_until"):
        click.echo(f"{name:<12} {found[name]}")


@seal.command("make", help="制章并备案 · Make and register a seal; it is not in use yet")
@click.option("--authority", required=True, help="机关统一社会信用代码 · Unified code of the authority")
@click.option("--name", required=True, help="印章名称 · Name on the seal")
@click.option("--kind", type=click.Choice(list(SealKind)), default=SealKind.LEGAL_NAME, show_default=True)
@click.option("--picture", type=_FILE, help="PNG；缺省为自动绘制 · PNG; none: a plain one is drawn")
@click.option("--until", type=_DAY, help="有效期至 · Last day; none: as long as the certificates")
@click.option("--use", is_flag=True, help="立即启用 · Put it into use at once")
@click.option(
    "--id", "seal_id", type=click.UUID, help="印章编号，重复执行不重复制章 · Id, for doing it again"
)
@JSON_OPTION
@click.pass_obj
@one_line
def make(
    settings: Settings,
    authority: str,
    name: str,
    kind: SealKind,
    picture: Path | None,
    until: datetime | None,
    use: bool,
    seal_id: uuid.UUID | None,
    as_json: bool,
) -> None:
    now = datetime.now(UTC)
    # As departments are named where clients are registered: the form counts, not the check character.
    if not re.fullmatch(r"[0-9A-HJ-NPQRTUWXY]{18}", authority):
        raise click.BadParameter(both(_("this is no unified code of an authority")), param_hint="--authority")
    wanted = SealWanted(
        id=seal_id or uuid.uuid4(),
        authority=authority,
        kind=SealKind(kind),
        name=name,
        valid_from=None,
        valid_until=None if until is None else until.date(),
        picture=None if picture is None else picture.read_bytes(),
    )

    async def work(registry: Registry) -> SealReply:
        made, _fresh = await register(registry, OPERATOR, wanted, now)
        if use and made.state is SealState.MADE:
            made = await change(registry, OPERATOR, made.id, SealOperation.USE, None, now)
        return shown(made)

    _told(with_registry(settings, now, work), as_json)


@seal.command("list", help="印章列表 · All seals, the latest first")
@click.option("--authority", help="只看该机关 · Only of this authority")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def list_(settings: Settings, authority: str | None, limit: int, as_json: bool) -> None:
    async def work(registry: Registry) -> list[SealSummary]:
        return [summarised(each) for each in await tables.list_of(registry.pool, authority, limit)]

    found = with_registry(settings, datetime.now(UTC), work)
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(f"{each['id']}  {each['authority']}  {each['kind']}  {each['state']:<9}  {each['name']}")


@seal.command("show", help="查看印章 · Show a seal")
@click.argument("seal_id", type=click.UUID)
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="另存为 · Write the seal here")
@JSON_OPTION
@click.pass_obj
@one_line
def show(settings: Settings, seal_id: uuid.UUID, file: Path | None, as_json: bool) -> None:
    async def work(registry: Registry) -> tables.Registered:
        found = await tables.find(registry.pool, seal_id)
        if found is None:
            raise NotFound(_("no such seal"))
        return found

    found = with_registry(settings, datetime.now(UTC), work)
    if file is not None:
        file.write_bytes(found.der)
    _told(shown(found), as_json)


def _operation(name: str, told: str) -> None:
    @seal.command(name, help=told)
    @click.argument("seal_id", type=click.UUID)
    @click.option("--reason", help="理由 · Why")
    @JSON_OPTION
    @click.pass_obj
    @one_line
    def command(settings: Settings, seal_id: uuid.UUID, reason: str | None, as_json: bool) -> None:
        now = datetime.now(UTC)

        async def work(registry: Registry) -> SealReply:
            return shown(await change(registry, OPERATOR, seal_id, SealOperation(name), reason, now))

        _told(with_registry(settings, now, work), as_json)


_operation("use", "启用 · Put a seal into use, from now or again")
_operation("suspend", "停用 · Suspend a seal")
_operation("end", "注销 · End a seal for good")


@seal.command("verify", help="验章 · Check a seal or a stamp, offline; exit 1 unless everything holds")
@click.argument("file", type=_FILE)
@click.option("--root", type=_FILE, required=True, help="可信根证书 PEM · Trusted root certificates")
@click.option("--crl", "revoked", type=_FILE, multiple=True, help="证书吊销列表 · Revocation list (DER, PEM)")
@click.option("--time-stamp-root", "stamping", type=_FILE, help="时间戳根证书 · Roots of time stamps (PEM)")
@click.option("--data", type=_FILE, help="被签章的数据 · What was sealed")
@JSON_OPTION
@click.pass_context
@one_line
def verify(
    context: click.Context,
    file: Path,
    root: Path,
    revoked: tuple[Path, ...],
    stamping: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    now = datetime.now(UTC)
    roots = chain(root.read_bytes())
    lists = tuple(each for path in revoked for each in read_revocation_lists(path.read_bytes()))
    stamp_roots = () if stamping is None else load_roots(stamping.read_bytes())
    content = file.read_bytes()
    found: Seal
    checked: Checked
    try:
        stamp = read_stamp(content)
        found = stamp.seal
        digest = None if data is None else sm3(data.read_bytes())
        checked = check_stamp(stamp, roots, roots, now, digest, lists, stamp_roots)
    except SealMalformed:
        found = read_seal(content)
        checked = check_seal(found, roots, now, Revocations(lists, now))
    report: dict[str, Any] = {
        "good": checked.good,
        "seal": found.content.id,
        "name": found.content.name,
        "checks": dict(checked.checks),
        "reasons": dict(checked.reasons),
        "time_stamp": None if checked.proven is None else checked.proven.isoformat(),
    }
    if as_json:
        print_json(report)
    else:
        click.echo(f"{found.content.id} {found.content.name}")
        for name, passed in checked.checks.items():
            why = checked.reasons.get(name)
            click.echo(f"{_MARKS[passed]} {both(SEAL_CHECK_NAMES[name])}{'' if why is None else f': {why}'}")
    context.exit(0 if checked.good else 1)
