"""The command line `zhengtong`.

A command that loads much which the others do not need loads it itself: most of the time of a short command is imports.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson
import psycopg
from pydantic import ValidationError

from connectors import cursors
from connectors.mapping import SourceMapping, load_mapping
from connectors.pipeline import Report, run
from connectors.sources.opening import named, open_source
from connectors.workers import workers_for
from foundation import database
from foundation.identifiers import check
from foundation.identity.clients import Client
from foundation.identity.principals import Role
from foundation.language import _, both
from foundation.sensitive import rotate_data_key
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings, load_master_key
from foundation.signing import PublicKey
from zhengtong.command import JSON_OPTION, LazyGroup, Refused, one_line, print_json
from zhengtong.reporting import print_report
from zhengtong.serving import MOST_WORKERS, serve_alone, serve_together

ELSEWHERE = {
    "batch": "zhengtong.batch_commands:batch",
    "catalogue": "zhengtong.catalogue_commands:catalogue",
    "document": "zhengtong.document_commands:document",
    "correction": "zhengtong.undelivered:correction",
    "checkpoint": "zhengtong.checkpoint:checkpoint_command",
    "licence": "zhengtong.licence_commands:licence",
    "link": "zhengtong.linking:link",
    "matters": "zhengtong.matter_commands:matters",
    "outbox": "zhengtong.undelivered:outbox",
    "quarantine": "zhengtong.stewardship:waiting",
    "request": "zhengtong.requests:request",
    "seal": "zhengtong.seal_commands:seal",
    "source": "zhengtong.preparing:source",
    "subscription": "zhengtong.subscriptions:subscription",
    "trust-bundle": "zhengtong.verifying:trust_bundle",
    "verify": "zhengtong.verifying:verify",
    "verify-log": "zhengtong.log_verifying:verify_log_command",
}
"""Commands that stand in modules of their own, loaded when they are asked for."""


@click.group(
    cls=LazyGroup,
    elsewhere=ELSEWHERE,
    help="证通：数据共享交换与电子证照库 · Data-sharing exchange and e-licence registry",
)
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="数据目录 · Data folder")
@click.pass_context
def main(context: click.Context, home: Path | None) -> None:
    """Read the settings, once."""
    # Ended by a signal, a command still closes what it opened: the embedded database, the service of the demonstration.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given: dict[str, Any] = {} if home is None else {"home": home}
    try:
        context.obj = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "settings"
        raise Refused(f"{place}: {first['msg'].removeprefix('Value error, ')}") from error


@main.command(help="显示设置（隐去密钥）· Show the settings, secrets masked")
@JSON_OPTION
@click.pass_obj
def config(settings: Settings, as_json: bool) -> None:
    shown = settings.masked()
    if as_json:
        print_json(shown)
    else:
        for name, value in shown.items():
            click.echo(f"{name} = {value}")


@main.command(help="建立或升级数据表 · Create or migrate the tables")
@JSON_OPTION
@click.pass_obj
@one_line
def migrate(settings: Settings, as_json: bool) -> None:
    with database.running_database(settings) as address:
        state = database.migrate(address)
    if as_json:
        print_json({"version": state.found})
    else:
        click.echo(both(_("The tables are at version {version}"), version=state.found))


@main.command(help="启动服务 · Serve")
@click.option("--host", help="监听地址 · Address to listen on")
@click.option("--port", type=int, help="端口 · Port")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    show_default=True,
    help="服务进程数 · Processes that serve",
)
@click.pass_obj
@one_line
def serve(settings: Settings, host: str | None, port: int | None, workers: int) -> None:
    given = settings.model_dump()
    if host is not None:
        given["listen_host"] = host
    if port is not None:
        given["listen_port"] = port
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise Refused(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    family = socket.AF_INET6 if ":" in settings.listen_host else socket.AF_INET
    # Bound first, so that a port that is taken is told before anything is opened.
    with (
        socket.create_server(
            (settings.listen_host, settings.listen_port), family=family, backlog=2048
        ) as door,
        database.running_database(settings) as address,
    ):
        database.require_current_schema(address)
        click.echo(both(_("Serving at {address}"), address=settings.base_url))
        if workers == 1:
            serve_alone(settings, address, door)
        else:
            serve_together(settings, address, door, workers)


@main.command(help="接入一个数据源 · Bring in a source: a file, or what its origin has")
@click.argument("source")
@click.option(
    "--file", "path", type=click.Path(path_type=Path), help="文件 · File; none: fetched from the origin"
)
@JSON_OPTION
@click.pass_obj
@one_line
def ingest(settings: Settings, source: str, path: Path | None, as_json: bool) -> None:
    mapping = load_mapping(source, settings.sources_folder)
    reports = _bring(settings, mapping, path)
    if as_json:
        # Of a folder any number of files may come: a list, also of one.
        many = path is None and mapping.format != "records"
        found = [report.as_json() for report in reports]
        print_json(found if many else found[0])
        return
    for report in reports:
        print_report(report, as_json=False)


def _bring(settings: Settings, mapping: SourceMapping, path: Path | None) -> Iterator[Report]:
    connections = named({name: uri.get_secret_value() for name, uri in settings.connections.items()})
    with database.running_database(settings) as address:
        database.require_current_schema(address)
        vault = open_vault(settings, datetime.now(UTC))
        with psycopg.connect(address) as connection:
            taken = cursors.origins_brought_in(connection, mapping.source)
        for origin in open_source(mapping, path, connections, datetime.now(UTC), taken):
            yield run(
                mapping,
                origin,
                database=address,
                vault=vault,
                progress=_progress(origin.name),
                sources_folder=settings.sources_folder,
                workers=workers_for(path),
            )


@main.group(help="标识符 · Identifiers")
def identifier() -> None:
    """Hold the commands on identifiers."""


@identifier.command("check", help="校验身份号码、信用代码、区划、证照标识 · Check an identifier; exit 0 or 1")
@click.argument("value")
@JSON_OPTION
def identifier_check(value: str, as_json: bool) -> None:
    found = check(value, datetime.now(UTC).year)
    if as_json:
        print_json(
            {
                "kind": found.kind,
                "valid": found.valid,
                "value": found.masked,
                "reasons": list(found.reasons),
                "findings": list(found.findings),
            }
        )
    else:
        verdict = both(_("valid")) if found.valid else both(_("not valid"))
        click.echo(
            f"{found.kind} {found.masked}: {verdict} {' '.join(found.reasons + found.findings)}".rstrip()
        )
    sys.exit(0 if found.valid else 1)


@main.group(help="部门系统 · Department systems")
def client() -> None:
    """Hold the commands on clients."""


@client.command("register", help="登记部门系统及其公钥 · Register a department's system and its public keys")
@click.argument("client_id")
@click.option("--name", required=True)
@click.option("--department", required=True, help="统一社会信用代码 · USCC of the department")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice([r.value for r in Role]))
@click.option("--jwks", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.pass_obj
@one_line
def register(
    settings: Settings, client_id: str, name: str, department: str, roles: tuple[str, ...], jwks: Path
) -> None:
    from exchange.batches.sealing import public_key
    from foundation.identity.tables import put_client, refuse_shared_keys

    try:
        document = orjson.loads(jwks.read_bytes())
        for key in document["keys"]:
            if key.get("use") == "enc":
                public_key(key)
            else:
                PublicKey.from_jwk(key)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise Refused(both(_("{file} is not a JWK Set: {reason}"), file=jwks.name, reason=error)) from error
    new = Client(client_id, name, department, frozenset(Role(role) for role in roles), document)

    async def put(address: str) -> None:
        engine = database.engine(address)
        try:
            # A key tells who asks; one that two know tells nothing.
            await refuse_shared_keys(engine, new)
            await put_client(engine, new, datetime.now(UTC))
        finally:
            await engine.dispose()

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        asyncio.run(put(address))
    click.echo(both(_("Registered {client}"), client=client_id))


@main.group(help="密钥 · Signing keys")
def keys() -> None:
    """Hold the commands on keys."""


@keys.command("rotate", help="轮换一种用途的密钥 · Rotate the key of a purpose")
@click.argument("purpose")
@click.pass_obj
@one_line
def rotate(settings: Settings, purpose: str) -> None:
    from zhengtong.house_keys import open_keys

    record = open_keys(settings, datetime.now(UTC)).rotate(purpose, datetime.now(UTC))
    click.echo(both(_("Active for {purpose} is now {kid}"), purpose=purpose, kid=record.kid))


@keys.command(
    "revoke", help="吊销密钥，其签名一概无效 · Revoke a key: nothing that it signed counts any more"
)
@click.argument("kid")
@click.pass_obj
@one_line
def revoke(settings: Settings, kid: str) -> None:
    from zhengtong.house_keys import open_keys

    open_keys(settings, datetime.now(UTC)).revoke(kid, datetime.now(UTC))
    click.echo(both(_("Revoked {kid}; hand out new trust bundles"), kid=kid))


@keys.command("rotate-data", help="轮换敏感字段的密钥 · Rotate the key of sensitive fields")
@click.pass_obj
@one_line
def rotate_data(settings: Settings) -> None:
    keyring = rotate_data_key(settings.keys_folder / "data", load_master_key(settings), datetime.now(UTC))
    click.echo(both(_("New rows are sealed under data key {version}"), version=keyring.current))


@main.command(help="演示主要流程 · Run the main job, told as it goes")
@click.option("--people", default=20_000, show_default=True, help="示范市人口 · People of the fictional city")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="真实法人文件 · Real register file",
)
@click.option(
    "--once", is_flag=True, help="讲完即止 · End after the transcript; exit 0 only if all came out as told"
)
@click.option("--port", type=int, default=8800, show_default=True)
@click.option(
    "--airflow",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="经 Airflow 接入：其环境的 Python · Bring in through Airflow: the Python of its environment",
)
@JSON_OPTION
@click.pass_obj
@one_line
def demo(
    settings: Settings,
    people: int,
    data: Path | None,
    once: bool,
    port: int,
    airflow: Path | None,
    as_json: bool,
) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from demonstration.airflow import by_airflow
    from demonstration.bringing_in import by_pipeline
    from demonstration.story import Story

    opening = by_pipeline if airflow is None else by_airflow(airflow)
    story = Story(settings, people=people, data=data, port=port, quiet=as_json, opening=opening)
    sys.exit(story.tell(stay=not once, report=print_json if as_json else None))


def _progress(name: str) -> Callable[[int], None] | None:
    if not sys.stderr.isatty():
        return None
    done = 0

    def tell(rows: int) -> None:
        nonlocal done
        done += rows
        click.echo(f"\r{name}: {done:,}", nl=False, err=True)

    return tell
