"""The main job, end to end, on a running service. Every step goes over HTTP or a command, as for outsiders."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click
import httpx
import orjson

from connectors.pipeline import Report
from demonstration import city
from demonstration.auditing import Log, tell_audit
from demonstration.bringing_in import Opening, Way, by_pipeline
from demonstration.counter import tell_plan
from demonstration.parties import System, answer_keys
from demonstration.presenting import tell_presenting
from demonstration.sealing import tell_seal
from demonstration.transcript import StoryBroken, Transcript
from exchange.queries.answer import TYPE as ANSWER_TYPE
from foundation import database
from foundation.identity.principals import Role
from foundation.identity.tables import put_client
from foundation.language import _, both
from foundation.settings import Settings
from foundation.signing import Algorithm, verify_compact

LICENCES = 300


@dataclass(frozen=True, slots=True)
class Cast:
    """The systems that take part, by their unified codes."""

    market: System
    housing: System
    tax: System
    counter: System
    sharing: System
    auditor: System

    def all(self) -> tuple[System, ...]:
        """Return all of them."""
        return (self.market, self.housing, self.tax, self.counter, self.sharing, self.auditor)


class Story:
    """Tells the main job once.

    Args:
        people: size of the fictional city.
        data: a real register file for the legal entities, instead of the generated one.
        quiet: tell nothing while it runs.
        opening: the way that the files come in by.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        people: int,
        data: Path | None,
        port: int,
        quiet: bool,
        opening: Opening = by_pipeline,
    ) -> None:
        home = settings.home.resolve()
        self.settings = settings.model_copy(
            update={"home": home, "development_issuer": settings.people_issuer is None, "listen_port": port}
        )
        self.plan = city.CityPlan(people=people)
        self.data = data
        self.transcript = Transcript(None if quiet else click.echo)
        self.folder = home / "demonstration"
        self.opening = opening

    def tell(self, *, stay: bool, report: Callable[[Any], None] | None) -> int:
        """Tell the story; return 0 if every step came out as told.

        Args:
            stay: leave the service running afterwards, until interrupted.
            report: takes the whole story as JSON at its end.
        """
        if not _port_is_free(self.settings.listen_port):
            raise StoryBroken(
                _("port {port} is taken; choose another by --port"), port=self.settings.listen_port
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        with contextlib.ExitStack() as open_things:
            address = open_things.enter_context(database.running_database(self.settings))
            database.migrate(address)
            files = self._files()
            way = open_things.enter_context(self.opening(self.settings, address, self.transcript))
            reports = self._bring_in(way, files)
            cast = self._register(address)
            service = self._serve()
            try:
                with httpx.Client(base_url=self.settings.base_url, timeout=30) as http:
                    self._wait(http, service)
                    self._tell_over_http(http, cast)
                seconds = round(time.perf_counter() - started, 2)
                failures = self.transcript.failures
                if report is not None:
                    report(
                        {
                            "chapters": self.transcript.chapters,
                            "ingest": [each.as_json() for each in reports],
                            "failures": failures,
                            "seconds": seconds,
                        }
                    )
                else:
                    click.echo("")
                    outcome = (
                        _("All came out as told") if not failures else _("Not everything came out as told")
                    )
                    click.echo(f"{both(outcome)} ({seconds} s)")
                if stay:
                    if way.pages is not None:
                        click.echo(way.pages)
                    click.echo(
                        both(
                            _("The service runs at {address}; stop it with Ctrl-C"),
                            address=self.settings.base_url,
                        )
                    )
                    service.wait()
            except KeyboardInterrupt:
                click.echo("")
            finally:
                _stop(service)
        return 1 if self.transcript.failures else 0

    # 1. Bringing in

    def _bring_in(self, way: Way, files: list[tuple[str, Path, city.Made | None]]) -> list[Report]:
        told = self.transcript
        reports = []
        with told.chapter(_("Three sources are brought in through the connector pipeline")):
            for source, path, made in files:
                told.fact(source, f"{path.name}, {path.stat().st_size:,} bytes")
                report = way.bring_in(source, path)
                reports.append(report)
                self._tell_report(report, made)
        return reports

    def _files(self) -> list[tuple[str, Path, city.Made | None]]:
        told = self.transcript
        population = self.folder / "population.csv"
        entities = self.folder / "legal_entities.csv"
        credentials = self.folder / "credentials.json"
        with told.chapter(_("A fictional city is made: 示范市, division 990100")):
            told.fact(_("people"), self.plan.people)
            made_population = city.write_population(self.plan, population)
            made_entities: city.Made | None = None
            if self.data is None:
                made_entities = city.write_legal_entities(self.plan, entities)
                made_credentials = city.write_credentials(self.plan, credentials)
            else:
                entities = self.data
                told.fact(_("real register of legal entities"), self.data.name)
                references = list(islice(_references(self.data), max(self.plan.people // 15, LICENCES)))
                made_credentials = city.write_credentials(self.plan, credentials, references)
        return [
            ("population", population, made_population),
            ("legal-entities", entities, made_entities),
            ("credentials", credentials, made_credentials),
        ]

    def _tell_report(self, report: Report, made: city.Made | None) -> None:
        told = self.transcript
        rate = report.read / report.seconds if report.seconds else 0.0
        told.fact(
            _("read / inserted / changed / unchanged / quarantined"),
            f"{report.read:,} / {report.inserted:,} / {report.changed:,} / {report.unchanged:,} / "
            f"{report.quarantined:,}  ({rate:,.0f}/s)",
        )
        for reason, count in sorted(report.reasons.items()):
            told.fact(_("  quarantined"), f"{reason} × {count:,}")
        for code, count in sorted(report.findings.items()):
            told.fact(_("  finding"), f"{code} × {count:,}")
        total = report.inserted + report.changed + report.unchanged + report.quarantined
        told.expect(
            _("{source}: every row read is accounted for"), report.read == total, source=report.source
        )
        if made is not None:
            expected = {k: v for k, v in made.expected.items() if k != "duplicate" and v}
            told.expect(
                _("{source}: quarantined are exactly the rows that were spoilt on purpose"),
                report.reasons == expected and report.read == made.rows,
                source=report.source,
            )

    # 2. Parties and service

    def _register(self, address: str) -> Cast:
        code = city.office_code
        cast = Cast(
            market=System(
                "market-regulation",
                "示范市市场监督管理局",
                city.ISSUER_CODE,
                frozenset({Role.ISSUING_AUTHORITY}),
            ),
            housing=System(
                "housing-fund", "示范市住房公积金管理中心", code(2), frozenset({Role.DEPARTMENT_SYSTEM})
            ),
            tax=System("tax-office", "示范市税务局", code(3), frozenset({Role.DEPARTMENT_SYSTEM})),
            counter=System("service-hall", "示范市政务服务大厅", code(4), frozenset({Role.COUNTER})),
            sharing=System("data-bureau", "示范市数据局", code(5), frozenset({Role.SHARING_AUTHORITY})),
            auditor=System("audit-office", "示范市审计局", code(6), frozenset({Role.AUDITOR})),
        )

        async def put() -> None:
            engine = database.engine(address)
            for system in cast.all():
                await put_client(engine, system.registration(), datetime.now(UTC))
            await engine.dispose()

        asyncio.run(put())
        return cast

    def _serve(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "ZHENGTONG_REQUIRED_SEALS": "required",
            "ZHENGTONG_DEVELOPMENT_ISSUER": str(self.settings.development_issuer).lower(),
        }
        output = (self.folder / "service.out").open("wb")
        with output:
            return subprocess.Popen(  # noqa: S603 -- our own program
                [
                    sys.executable, "-m", "zhengtong", "--home", str(self.settings.home),
                    "serve", "--port", str(self.settings.listen_port),
                ],
                env=environment,
                stdout=output,
                stderr=output,
            )  # fmt: skip

    def _wait(self, http: httpx.Client, service: subprocess.Popen[bytes]) -> None:
        told = self.transcript
        with told.chapter(_("The service starts")):
            deadline = time.monotonic() + 60
            while True:
                try:
                    if http.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                if service.poll() is not None or time.monotonic() > deadline:
                    raise StoryBroken(
                        _("the service did not start; it said: {said}"),
                        said=(self.folder / "service.out").read_text(encoding="utf-8")[-500:],
                    )
                time.sleep(0.1)
            told.fact(_("address"), self.settings.base_url)

    # 3. Everything else

    def _tell_over_http(self, http: httpx.Client, cast: Cast) -> None:
        first = next(self._clean_credentials(), None)
        if first is not None:
            tell_seal(self.transcript, http, cast.market, lambda: _ask_for(http, cast, first))
        issued = self._issue(http, cast)
        if not issued:
            raise StoryBroken(_("no licence could be issued, so nothing further can be told"))
        answers = self._verify(http, cast)
        tell_presenting(
            self.transcript, http, cast.market, cast.counter, issued[0], self.folder, self._command
        )
        log = Log(
            http,
            cast.auditor,
            f"{self.settings.base_url}/ledger",
            self.settings.ledger_folder,
            self.folder / "audit",
            self._command,
        )
        tell_audit(self.transcript, log, answers)

    def _issue(self, http: httpx.Client, cast: Cast) -> list[dict[str, Any]]:
        told = self.transcript
        wanted = list(islice(self._clean_credentials(), LICENCES))
        with told.chapter(_("The market regulator issues signed e-licences (business licences)")):
            cast.market.token(http, "urn:zhengtong:license-registry")
            with ThreadPoolExecutor(4) as several:
                replies = list(several.map(lambda one: _ask_for(http, cast, one), wanted))
            fresh = sum(reply.status_code == 201 for reply in replies)
            known = sum(reply.status_code == 200 for reply in replies)
            unknown = sum(
                reply.status_code == 422 and reply.json()["type"].endswith(":holder-unknown")
                for reply in replies
            )
            told.fact(_("issued now / issued before"), f"{fresh:,} / {known:,}")
            told.fact(_("refused: the holder is in no register"), f"{unknown:,}")
            if replies and replies[0].is_success:
                told.fact(_("first e-licence identifier"), replies[0].json()["identifier"])
            told.expect(
                _("every licence asked for is issued whose holder the register knows"),
                fresh + known > unknown and fresh + known + unknown == len(replies),
            )
        return [
            {**credential, "identifier": reply.json()["identifier"], "state": reply.json()["state"]}
            for credential, reply in zip(wanted, replies, strict=True)
            if reply.is_success
        ]

    def _clean_credentials(self) -> Iterator[dict[str, Any]]:
        """Yield licences that the regulator's own file holds whole, with representatives known to the register."""
        with (self.folder / "credentials.json").open(encoding="utf-8") as file:
            for line in file:
                text = line.strip().rstrip(",")
                if not text.startswith("{"):
                    continue
                found = orjson.loads(text)
                needed = ("holder_code", "holder_name", "representative_id", "established_on", "valid_from")
                if all(isinstance(found.get(name), str) for name in needed):
                    yield found

    def _verify(self, http: httpx.Client, cast: Cast) -> list[str]:
        told = self.transcript
        people = (
            p for p in city.people(self.plan) if p.clean and p.marital_status == "已婚" and p.status == "正常"
        )
        person = next(people)
        matter, resource = "housing-fund-withdrawal", "persons-basic"
        claims = {
            "name": person.name,
            "marital_status": "married",
            "residence_division": person.residence_division,
        }
        question = {
            "resource": resource,
            "subject": person.citizen_id,
            "claims": claims,
            "matter": matter,
            "case": "公积金提取 2025-000001",
        }
        answers = []
        with told.chapter(_("The housing fund asks instead of asking the applicant for a proof")):
            now = datetime.now(UTC)
            grant = cast.sharing.call(
                http,
                "POST",
                "/exchange/v1/grants",
                {
                    "client_id": cast.housing.client_id,
                    "resource": resource,
                    "fields": [*claims, "status"],
                    "matters": [matter],
                    "purpose": "住房公积金提取资格核验",
                    "legal_basis": "政务数据共享条例（国务院令第809号）",
                    "valid_from": (now - timedelta(minutes=1)).isoformat(),
                    "valid_until": (now + timedelta(days=365)).isoformat(),
                },
            )
            told.expect(_("the sharing authority gives a grant"), grant.status_code == 201)
            reply = cast.housing.call(http, "POST", "/exchange/v1/verifications", question)
            told.expect(
                _("true claims match"),
                reply.status_code == 200 and set(reply.json()["results"].values()) == {"match"},
            )
            if reply.is_success:
                answers.append(reply.json()["answer"])
                told.fact(_("results"), json.dumps(reply.json()["results"]))
                told.fact(_("receipt"), reply.json()["receipt"]["record"])
            wrong = {**question, "claims": {**claims, "marital_status": "single"}}
            reply = cast.housing.call(http, "POST", "/exchange/v1/verifications", wrong)
            told.expect(
                _("a false claim does not, and nothing else is disclosed"),
                reply.status_code == 200
                and reply.json()["results"]["marital_status"] == "mismatch"
                and "married" not in reply.text,
            )
            answers += [reply.json()["answer"]] if reply.is_success else []
            keys = answer_keys(http)
            for answer in answers:
                verify_compact(answer, keys, ANSWER_TYPE, frozenset({Algorithm.ES256}))
            told.expect(_("the signed answers verify with the published keys"), bool(answers))
        # Another case each time the story is told on the same data: a plan belongs to one.
        case = f"租房提取 {datetime.now(UTC):%Y%m%d%H%M%S}"
        answers += tell_plan(told, http, cast.housing, cast.sharing, person, case)
        with told.chapter(_("The tax office has no grant")):
            reply = cast.tax.call(http, "POST", "/exchange/v1/verifications", question)
            problem = reply.json()
            told.fact(_("problem"), f"{reply.status_code} {problem['type']} {problem['title']}")
            told.expect(_("it is refused"), reply.status_code == 403)
            found = cast.auditor.call(
                http,
                "GET",
                f"/exchange/v1/audit/records?client_id={cast.tax.client_id}&outcome=refused&limit=1",
            ).json()["records"]
            told.expect(
                _("the refusal is recorded"), bool(found) and found[0]["record"]["reason"] == "not-granted"
            )
        return answers

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "zhengtong", "--home", str(self.settings.home), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if not done.stdout:
            raise StoryBroken(_("a command said nothing but: {said}"), said=done.stderr[-300:])
        return done


def _ask_for(http: httpx.Client, cast: Cast, credential: dict[str, Any]) -> httpx.Response:
    """Ask the registry, as the market regulator, for the licence that is in its file."""
    fields = {
        name: credential[name]
        for name in (
            "holder_name", "holder_code", "entity_type", "representative_name",
            "registered_capital", "established_on", "business_scope", "address",
        )
        if credential.get(name) is not None and credential.get(name) != "N/A"
    }  # fmt: skip
    body = {
        "licence_type": "business-licence",
        "number": credential["licence_number"],
        "fields": fields,
        "valid_from": credential["valid_from"],
        "valid_until": credential["valid_to"],
        "presenter": credential["representative_id"],
    }
    return cast.market.call(http, "POST", "/registry/v1/licences", body)


def _references(path: Path) -> Iterator[city.EntityRef]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            yield city.EntityRef(
                code=row["统一社会信用代码"],
                name=row["企业名称"],
                capital=row["注册资金"],
                scope=row["经营范围"],
                address=row["注册地址"],
                established_on=row["注册日期"],
                entity_type=row["企业类型"],
            )


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _stop(service: subprocess.Popen[bytes]) -> None:
    if service.poll() is None:
        service.send_signal(signal.SIGTERM)
        try:
            service.wait(20)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()
