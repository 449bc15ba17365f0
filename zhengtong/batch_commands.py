"""Commands on batches: operators look at them, departments read their results."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
import orjson

from exchange.batches import tables
from exchange.batches.batch import Batch, progress
from exchange.batches.reading import read_result
from foundation import database
from foundation.errors import NotFound
from foundation.language import _, both
from foundation.settings import Settings
from foundation.signing import PublicKey
from zhengtong.command import JSON_OPTION, Refused, one_line, print_json

_T = TypeVar("_T")


@click.group(help="批量核验 · Batches of questions")
def batch() -> None:
    """Hold the commands on batches."""


@batch.command("list", help="列出批次 · List batches, newest first")
@click.option("--client", help="部门系统 · Only those of a client")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@JSON_OPTION
@click.pass_obj
@one_line
def list_command(settings: Settings, client: str | None, limit: int, as_json: bool) -> None:
    async def work(pool: Any) -> list[Batch]:
        return await tables.newest(pool, client, limit)

    found = _with_pool(settings, work)
    if as_json:
        print_json([_shown(each) for each in found])
        return
    for each in found:
        question = each.question
        click.echo(
            f"{each.id} {each.state.value:9} {each.counts.rows:,}/{each.rows:,} {each.client_id}"
            f" {question.resource} {question.matter} {each.problem or ''}".rstrip()
        )


@batch.command("show", help="查看一个批次 · Show a batch")
@click.argument("batch_id", type=click.UUID)
@JSON_OPTION
@click.pass_obj
@one_line
def show_command(settings: Settings, batch_id: uuid.UUID, as_json: bool) -> None:
    async def work(pool: Any) -> Batch | None:
        return await tables.find(pool, batch_id)

    found = _with_pool(settings, work)
    if found is None:
        raise NotFound(_("no such batch"))
    if as_json:
        print_json(_shown(found))
    else:
        for name, value in _shown(found).items():
            if value is not None:
                click.echo(f"{name} = {value}")


@batch.command("read", help="解开并核对结果 · Open a result with the client's key and check it")
@click.argument("result", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="私钥 · The client's private JWK",
)
@click.option("--keys", required=True, help="交换平台公钥 · JWK Set of the exchange: a file, or its address")
@one_line
def read_command(result: Path, output: Path, key_file: Path, keys: str) -> None:
    key, trusted = _json(key_file.read_bytes(), key_file.name), _trusted(keys)
    # The lines count only when all have been compared: until then they stand under another name.
    waiting = output.with_name(f".{output.name}.part")
    try:
        with result.open("rb") as lines, waiting.open("wb") as file:
            answers = read_result(lines, key, trusted)
            for part in answers.parts:
                file.write(part)
        output.with_name(f"{output.name}.jws").write_text(answers.jws, encoding="ascii")
        waiting.replace(output)
    finally:
        waiting.unlink(missing_ok=True)
    said = answers.statement
    click.echo(
        both(
            _(
                "{rows} rows: {answered} answered, {unknown} unknown, {malformed} malformed, {refused} refused,"
                " {unanswered} unanswered"
            ),
            rows=said["results"]["rows"],
            answered=said["answered"],
            unknown=said["unknown"],
            malformed=said["malformed"],
            refused=said["refused"],
            unanswered=said.get("unanswered", 0),  # statements of before know no live sources
        )
    )


def _with_pool(settings: Settings, work: Callable[[Any], Awaitable[_T]]) -> _T:
    async def run(address: str) -> _T:
        async with database.pool(address, 1) as pool:
            return await work(pool)

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        return asyncio.run(run(address))


def _shown(found: Batch) -> dict[str, Any]:
    return {"client": found.client_id, "department": found.department, **progress(found)}


def _trusted(where: str) -> dict[str, PublicKey]:
    if where.startswith(("http://", "https://")):
        try:
            data = httpx.get(where, timeout=10).raise_for_status().content
        except httpx.HTTPError as error:
            raise Refused(f"{where}: {type(error).__name__}") from error
    else:
        data = Path(where).read_bytes()
    try:
        return {each["kid"]: PublicKey.from_jwk(each) for each in _json(data, where)["keys"]}
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(both(_("{file} is not a JWK Set: {reason}"), file=where, reason=error)) from error


def _json(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refused(both(_("{file} is not a JWK Set: {reason}"), file=name, reason=error)) from error
    if not isinstance(found, dict):
        raise Refused(both(_("{file} is not a JWK Set: {reason}"), file=name, reason="no object"))
    return found
