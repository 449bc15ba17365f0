"""The chapters of the auditor: the log is checked by the separate verifier, and an altered record is found out."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

from demonstration.parties import System, answer_keys, unverified_claims
from demonstration.transcript import StoryBroken, Transcript
from exchange.audit.receipt import answer_digest
from exchange.queries.answer import TYPE as ANSWER_TYPE
from foundation.language import _
from foundation.ledger import VERIFIER_KEY_FILE
from foundation.signing import Algorithm, verify_compact

INCLUDED_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Log:
    """The log as an auditor comes to it.

    Args:
        address: where it is published.
        tiles: its files on this machine.
        folder: for what the auditor exports; emptied first.
        command: runs `zhengtong` with arguments.
    """

    http: httpx.Client
    auditor: System
    address: str
    tiles: Path
    folder: Path
    command: Callable[..., subprocess.CompletedProcess[str]]

    def verify(self, where: str, files: list[Path]) -> subprocess.CompletedProcess[str]:
        """Check tree, checkpoint and exported records with the separate verifier."""
        key = (self.tiles / VERIFIER_KEY_FILE).read_text(encoding="ascii").strip()
        records = [part for path in files for part in ("--records", str(path))]
        return self.command("verify-log", where, "--key", key, *records, "--json")


def tell_audit(told: Transcript, log: Log, answers: list[str]) -> None:
    """Tell them.

    Args:
        answers: signed, each of which is to be found in the log.

    Raises:
        StoryBroken: the answers do not get into the log.
    """
    shutil.rmtree(log.folder, ignore_errors=True)
    log.folder.mkdir(parents=True)
    with told.chapter(_("An auditor checks the log with the separate verifier")):
        _wait_until_included(log, answers)
        files = []
        for service in ("exchange", "registry"):
            exported = log.auditor.call(log.http, "GET", f"/{service}/v1/audit/records.jsonl")
            path = log.folder / f"{service}.jsonl"
            path.write_bytes(exported.content)
            files.append(path)
        checked = log.verify(log.address, files)
        report = json.loads(checked.stdout)
        told.fact(_("leaves in the tree"), report["size"])
        told.fact(_("root"), report["root"])
        told.fact(_("records checked"), report["records_checked"])
        told.expect(
            _("tree, checkpoint signature and every record hold"),
            checked.returncode == 0 and report["checkpoint"],
        )
        good = _in_the_log(log.http, answers, files[0])
        told.expect(_("each answer just given is in the log"), bool(answers) and good == len(answers))
    with told.chapter(_("One stored record is altered in a copy")):
        copy = log.folder / "altered.jsonl"
        altered = _alter(files[0], copy)
        checked = log.verify(str(log.tiles), [copy, files[1]])
        problems = json.loads(checked.stdout)["problems"]
        told.fact(
            _("the verifier says"), "; ".join(f"{p['code']} {p.get('record_id', '')}" for p in problems)
        )
        told.expect(
            _("the verifier names the altered record, and only that"),
            checked.returncode == 1 and [p.get("record_id") for p in problems] == [altered],
        )


def _wait_until_included(log: Log, answers: list[str]) -> None:
    deadline = time.monotonic() + INCLUDED_SECONDS
    for answer in answers:
        record = unverified_claims(answer)["receipt"]["record"]
        while log.auditor.call(log.http, "GET", f"/exchange/v1/receipts/{record}").status_code == 409:
            if time.monotonic() > deadline:
                raise StoryBroken(_("the sequencer does not take records into the tree"))
            time.sleep(0.1)


def _in_the_log(http: httpx.Client, answers: list[str], exported: Path) -> int:
    """Return how many answers verify, and are what their exported records commit to."""
    records = {r["record_id"]: r for r in map(orjson.loads, exported.read_bytes().splitlines())}
    keys = answer_keys(http)
    good = 0
    for answer in answers:
        payload = verify_compact(answer, keys, ANSWER_TYPE, frozenset({Algorithm.ES256})).payload
        claims = orjson.loads(payload)
        record = records.get(claims["receipt"]["record"])
        good += record is not None and record["record"]["answer_sha256"] == answer_digest(claims)
    return good


def _alter(exported: Path, copy: Path) -> str:
    """Copy exported records with one of them altered; return its id."""
    lines = exported.read_bytes().splitlines()
    place = next(i for i, line in enumerate(lines) if b'"answered"' in line and b'"verify"' in line)
    altered = orjson.loads(lines[place])
    altered["record"]["client"] = "somebody-else"
    copy.write_bytes(b"\n".join([*lines[:place], orjson.dumps(altered), *lines[place + 1 :]]) + b"\n")
    return str(altered["record_id"])
