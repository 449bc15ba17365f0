"""Commands that verify alone, and the trust bundle that lets others do so."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson
from asn1crypto import pem

from foundation import database
from foundation.language import _, both
from foundation.settings import Settings
from foundation.signing import Algorithm, CertificateAuthority, PublicKey, decode_base64url
from foundation.signing.chain import load_roots
from foundation.signing.revocation import revocation_lists
from license_registry.catalog.types import load_types
from license_registry.credentials.key_binding import OLDEST_SECONDS, ExpectedBinding
from license_registry.lifecycle.status_lists import StatusLists
from license_registry.presenting.own_trust import (
    own_further,
    own_keys,
    own_status_lists,
    own_types,
    root_pem,
    time_stamp_roots,
)
from license_registry.verifying.archive import trust_within
from license_registry.verifying.bundle import make_bundle, open_bundle
from license_registry.verifying.file import Ways, is_ofd, is_package, verify_bytes
from license_registry.verifying.report import lines
from license_registry.verifying.seen import SeenCodes
from license_registry.verifying.trust import BUNDLE, Trust, TrustedKey, with_further
from zhengtong.command import JSON_OPTION, Refused, one_line, print_json
from zhengtong.house_keys import open_keys


@click.command(help="验证证照文件、二维码、签名答复 · Verify a licence, code or answer; exit 0 or 1")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), help="信任包 · Trust bundle")
@click.option("--root", type=click.Path(path_type=Path, exists=True), help="根证书 · Root certificate (PEM)")
@click.option(
    "--crl",
    "revoked",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="证书吊销列表 · Revocation list of certificates (DER, PEM)",
)
@click.option(
    "--time-stamp-root",
    "stamping",
    type=click.Path(path_type=Path, exists=True),
    help="时间戳根证书 · Root certificates of time stamps (PEM)",
)
@click.option("--jwks", type=click.Path(path_type=Path, exists=True), help="公钥集 · Trusted keys (JWK Set)")
@click.option(
    "--status-list",
    "status_list",
    type=click.Path(path_type=Path, exists=True),
    help="状态列表 · Status list token, for the state as of its date",
)
@click.option(
    "--seen", type=click.Path(path_type=Path), help="已用二维码的记录 · File of codes that were used here"
)
@click.option("--audience", help="持有人应向谁出示 · For whom the holder must have signed")
@click.option("--nonce", help="验证方的随机数 · The question that the holder must have signed for")
@click.option(
    "--oldest",
    default=OLDEST_SECONDS,
    show_default=True,
    type=click.IntRange(0),
    help="出示的最大时长（秒）· Greatest age in seconds",
)
@JSON_OPTION
@click.pass_obj
@one_line
def verify(
    settings: Settings,
    path: Path,
    bundle: Path | None,
    root: Path | None,
    revoked: tuple[Path, ...],
    stamping: Path | None,
    jwks: Path | None,
    status_list: Path | None,
    seen: Path | None,
    audience: str | None,
    nonce: str | None,
    oldest: int,
    as_json: bool,
) -> None:
    now = datetime.now(UTC)
    expected = None
    if audience is not None and nonce is not None:
        expected = ExpectedBinding(audience, nonce, int(now.timestamp()), oldest)
    elif audience is not None or nonce is not None:
        raise click.UsageError("--audience, --nonce")
    data = path.read_bytes()
    alone = bundle is None and jwks is None and root is not None
    if alone and is_package(data):
        trust = trust_within(data, path.name, load_roots(_root(settings, root, now)))
    elif is_ofd(data):
        # Of seals the root is trusted; without one it is the house's own, as its keys are for the licence inside.
        trust = Trust({}) if alone else _trust(settings, bundle, root, jwks, status_list, now)
        trust = replace(trust, roots=load_roots(_root(settings, root, now)))
        if root is None and bundle is None:
            trust = own_further(trust, open_keys(settings, now), settings, now)
        further = None if stamping is None else stamping.read_bytes()
        trust = with_further(trust, [each.read_bytes() for each in revoked], further)
    else:
        trust = _trust(settings, bundle, root, jwks, status_list, now)
    first_use = None if seen is None else SeenCodes(seen, now.timestamp()).first_use
    found = verify_bytes(
        data, path.name, trust, now, Ways(bundle is not None or status_list is not None, first_use, expected)
    )
    if as_json:
        print_json(found.as_json())
    else:
        for line in lines(found):
            click.echo(line)
    sys.exit(0 if found.valid else 1)


def _trust(
    settings: Settings,
    bundle: Path | None,
    root: Path | None,
    jwks: Path | None,
    status_list: Path | None,
    now: datetime,
) -> Trust:
    if bundle is not None:
        return open_bundle(bundle.read_bytes(), load_roots(_root(settings, root, now)), now)
    lists = {} if status_list is None else _status_list(status_list)
    if jwks is not None:
        return Trust(_given(jwks), status_lists=lists)
    keys = own_keys(open_keys(settings, now))
    types = {each.vct: each for each in own_types(load_types(settings.licence_types_folder))}
    return Trust(keys, types, lists)


def _root(settings: Settings, root: Path | None, now: datetime) -> bytes:
    if root is not None:
        return root.read_bytes()
    keys = open_keys(settings, now)
    return root_pem(keys, CertificateAuthority(keys), now).encode("ascii")


def _given(jwks: Path) -> dict[str, TrustedKey]:
    try:
        keys = orjson.loads(jwks.read_bytes())["keys"]
        return {str(key["kid"]): TrustedKey(PublicKey.from_jwk(key), None) for key in keys}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise Refused(both(_("{file} is not a JWK Set: {reason}"), file=jwks.name, reason=error)) from error


def _status_list(path: Path) -> dict[str, str]:
    # Which list it is it says itself; its signature is checked where it is used.
    try:
        token = path.read_text(encoding="ascii").strip()
        return {str(orjson.loads(decode_base64url(token.split(".")[1]))["sub"]): token}
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise Refused(both(_("{file} is not a signed status list"), file=path.name)) from error


@click.group("trust-bundle", help="离线验证所需的信任包 · What offline verifiers need")
def trust_bundle() -> None:
    """Hold the commands on trust bundles."""


@trust_bundle.command(
    "export", help="导出信任包：公钥、证书、类型、状态列表 · Export keys, certificates, types, lists"
)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--hours", default=24, show_default=True, type=click.IntRange(1, 24 * 30), help="有效期 · Lives"
)
@click.pass_obj
@one_line
def export(settings: Settings, path: Path, hours: int) -> None:
    now = datetime.now(UTC)
    keys = open_keys(settings, now)
    certificates = CertificateAuthority(keys)
    keys.ensure_active(BUNDLE, Algorithm.ES256, now)
    issuer = f"{settings.base_url}/registry"

    async def lists(address: str) -> dict[str, str]:
        async with database.pool(address, 1) as pool:
            return await own_status_lists(pool, StatusLists(pool, keys, issuer))

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        tokens = asyncio.run(lists(address))
    signer = keys.signer(BUNDLE)
    types = own_types(load_types(settings.licence_types_folder))
    data = make_bundle(
        signer,
        certificates.chain_pem(signer.kid),
        issuer,
        own_keys(keys, certificates),
        types,
        tokens,
        now=now,
        lives=hours * 3600,
        revocation_lists=revocation_lists(keys, now),
        time_stamp_roots=time_stamp_roots(settings).decode("ascii"),
    )
    path.write_bytes(data)
    click.echo(
        both(
            _("{size} bytes, {lists} status lists, good for {hours} hours"),
            size=len(data),
            lists=len(tokens),
            hours=hours,
        )
    )


@trust_bundle.command(
    "root", help="导出根证书，另行交付 · Write the root certificate, to be handed over another way"
)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
@one_line
def root_certificate(settings: Settings, path: Path) -> None:
    path.write_bytes(_root(settings, None, datetime.now(UTC)))
    click.echo(str(path))


@trust_bundle.command(
    "revocations", help="导出证书吊销列表 · Write the revocation lists of the root certificates (PEM)"
)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
@one_line
def revocations(settings: Settings, path: Path) -> None:
    now = datetime.now(UTC)
    lists = revocation_lists(open_keys(settings, now), now)
    path.write_bytes(b"".join(pem.armor("X509 CRL", each) for each in lists))
    click.echo(str(path))
