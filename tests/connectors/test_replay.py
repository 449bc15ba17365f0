"""Replay and correction: what waits comes in once it can, stays where it stood if it cannot, and is never lost."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from connectors import cursors, quarantine
from connectors.mapping import SourceMapping, parse_mapping
from connectors.pipeline import Report, run
from connectors.replay import CorrectionRefused, correct, replay
from connectors.sources.files import FileSource
from connectors.sources.raw import BadRow
from exchange.registers.schemas import load_registers, opened
from exchange.registers.tables import current_rows
from foundation.identifiers import CitizenId
from foundation.sensitive import Vault

PEOPLE = [CitizenId.compute("990101", date(1980, 2, 28), n).reveal() for n in range(1, 8)]
YAML = """
source: census
title: 普查
contact: 统计局
register: persons
format: {format}
columns:
  - {{column: 号码, field: citizen_id, kind: citizen-id}}
  - {{column: 姓名, field: name}}
  - {{column: 状态, field: status, kind: dictionary, dictionary: {{在: resident{more}}}}}
"""


def mapping(format_: str = "delimited", more: str = "", extra: str = "") -> SourceMapping:
    return parse_mapping("census", YAML.format(format=format_, more=more) + extra)


NOW_KNOWN = ", 迁: moved-out"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "census.csv"
    rows = [f"{PEOPLE[0]},张,在", f"{PEOPLE[1]},李,迁", f"{PEOPLE[2]},王,外", f"{PEOPLE[3]},赵", "x,y,在"]
    path.write_text("\n".join(["号码,姓名,状态", *rows]) + "\n", encoding="utf-8")
    return path


def bring_in(path: Path, database: str, vault: Vault, as_: SourceMapping | None = None) -> Report:
    known = as_ or mapping()
    return run(known, FileSource(path, known), database=database, vault=vault)


def sql(database: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        return connection.execute(text).fetchall()


def standing(database: str) -> list[tuple[Any, ...]]:
    return sql(
        database, "SELECT origin_row, reason, seen, run_id FROM exchange.quarantine ORDER BY origin_row"
    )


def people(database: str) -> int:
    ((count,),) = sql(database, "SELECT count(*) FROM exchange.person")
    return int(count)


def test_rows_that_the_mapping_of_today_understands_come_in_and_the_others_stay_where_they_stood(
    csv: Path, database_url: str, vault: Vault
) -> None:
    first = bring_in(csv, database_url, vault)
    assert (first.inserted, first.quarantined) == (1, 4)
    before = standing(database_url)
    report = replay(mapping(more=NOW_KNOWN), database=database_url, vault=vault)
    assert (report.read, report.inserted, report.quarantined) == (4, 1, 3)
    assert standing(database_url) == [row for row in before if row[0] != 2]
    assert people(database_url) == 2
    again = replay(mapping(more=NOW_KNOWN), database=database_url, vault=vault)
    assert (again.read, again.inserted, again.quarantined) == (3, 0, 3)
    assert len(standing(database_url)) == 3


def test_a_row_that_fails_otherwise_than_before_waits_for_its_new_reason_only(
    csv: Path, database_url: str, vault: Vault
) -> None:
    bring_in(csv, database_url, vault)
    stricter = parse_mapping(
        "census", YAML.format(format="delimited", more="").replace("column: 姓名", "column: 名")
    )
    replay(stricter, database=database_url, vault=vault)
    assert [row[:3] for row in standing(database_url)] == [(n, "header-differs", 1) for n in (2, 3, 4, 5)]
    report = replay(mapping(more=NOW_KNOWN), database=database_url, vault=vault)
    assert report.inserted == 1
    assert [row[0] for row in standing(database_url)] == [3, 4, 5]


def test_one_reason_only_may_be_asked_for(csv: Path, database_url: str, vault: Vault) -> None:
    bring_in(csv, database_url, vault)
    report = replay(mapping(), database=database_url, vault=vault, reason="wrong-column-count")
    assert (report.read, report.quarantined) == (1, 1)


def test_a_conflict_does_not_take_the_place_of_what_it_contradicts(
    tmp_path: Path, database_url: str, vault: Vault
) -> None:
    path = tmp_path / "twice.csv"
    path.write_text(f"号码,姓名,状态\n{PEOPLE[0]},张,在\n{PEOPLE[0]},章,在\n", encoding="utf-8")
    assert bring_in(path, database_url, vault).reasons == {"conflict-within-source": 1}
    assert replay(mapping(), database=database_url, vault=vault).read == 0
    wanted = replay(mapping(), database=database_url, vault=vault, reason="conflict-within-source")
    assert (wanted.changed, standing(database_url)) == (1, [])


def test_rows_of_json_are_read_again_too(tmp_path: Path, database_url: str, vault: Vault) -> None:
    path = tmp_path / "census.json"
    elements = [
        {"号码": PEOPLE[0], "姓名": "张", "状态": "迁"},
        {"号码": PEOPLE[1], "别名": "李", "状态": "在"},
        7,
    ]
    path.write_bytes(orjson.dumps(elements))
    bring_in(path, database_url, vault, mapping("json-array"))
    report = replay(mapping("json-array", NOW_KNOWN), database=database_url, vault=vault)
    assert (report.inserted, report.reasons) == (1, {"unknown-member": 1, "not-an-object": 1})


def test_bytes_in_another_encoding_come_in_once_the_mapping_names_it(
    tmp_path: Path, database_url: str, vault: Vault
) -> None:
    path = tmp_path / "census.csv"
    path.write_bytes("号码,姓名,状态\n".encode() + f"{PEOPLE[0]},张,在\n".encode("gb18030"))
    assert bring_in(path, database_url, vault).reasons == {"undecodable-bytes": 1}
    report = replay(mapping(extra="encoding: gb18030\n"), database=database_url, vault=vault)
    assert (report.inserted, standing(database_url)) == (1, [])


def test_gates_and_snapshots_are_about_files_and_a_replay_is_none(
    csv: Path, database_url: str, vault: Vault
) -> None:
    bring_in(csv, database_url, vault)
    asking = mapping(more=NOW_KNOWN, extra="gates: {rows_at_least: 1000}\nsnapshot: {ended_share: 1}\n")
    report = replay(asking, database=database_url, vault=vault)
    assert (report.inserted, report.ended, people(database_url)) == (1, 0, 2)
    with psycopg.connect(database_url) as connection:
        assert cursors.last_rows(connection, "census") == 5


def test_dying_within_a_batch_leaves_its_rows_waiting(
    csv: Path, database_url: str, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(csv, database_url, vault)
    before = standing(database_url)

    def die(*_arguments: Any) -> None:
        raise RuntimeError("died")

    with monkeypatch.context() as dying:
        dying.setattr(quarantine, "keep_place", die)
        with pytest.raises(RuntimeError, match="died"):
            replay(mapping(more=NOW_KNOWN), database=database_url, vault=vault)
    assert standing(database_url) == before
    assert people(database_url) == 1
    assert replay(mapping(more=NOW_KNOWN), database=database_url, vault=vault, batch_rows=1).inserted == 1
    assert people(database_url) == 2


def test_rows_of_a_layout_that_cannot_be_read_again_wait_on(
    csv: Path, database_url: str, vault: Vault
) -> None:
    bring_in(csv, database_url, vault)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE exchange.quarantine SET layout = NULL")
    assert replay(mapping(more=NOW_KNOWN), database=database_url, vault=vault).read == 0
    assert len(standing(database_url)) == 4


def waiting_row(database: str, reason: str) -> quarantine.Quarantined:
    with psycopg.connect(database) as connection:
        (row,) = quarantine.waiting(connection, "census", reason)
    return row


def fix(database: str, vault: Vault, row: quarantine.Quarantined, record: dict[str, Any]) -> Report:
    return correct(mapping(), row, record, editor="陈", why="查原始档案", database=database, vault=vault)


def test_a_corrected_row_comes_in_and_its_original_is_kept_with_who_and_why(
    csv: Path, database_url: str, vault: Vault
) -> None:
    bring_in(csv, database_url, vault)
    row = waiting_row(database_url, "wrong-column-count")
    record = {"号码": PEOPLE[3], "姓名": "赵", "状态": "在"}
    assert fix(database_url, vault, row, record).inserted == 1
    assert [each[0] for each in standing(database_url)] == [2, 3, 5]
    ((digest, raw, kept, editor, why, reason),) = sql(
        database_url, "SELECT digest, raw, record, edited_by, edit_reason, reason FROM exchange.correction"
    )
    assert (digest, editor, why, reason) == (row.digest, "陈", "查原始档案", "wrong-column-count")
    assert quarantine.original(vault, digest, raw) == f"{PEOPLE[3]},赵".encode()
    assert PEOPLE[3].encode() not in kept
    assert orjson.loads(vault.open(kept, b"correction\0" + digest)) == record


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"号码": "x", "姓名": "赵", "状态": "在"}, "citizen_id"),
        ({"号码": PEOPLE[3], "姓名": "赵"}, "missing-field status"),
        ({"号码": PEOPLE[3], "姓名": "赵", "状态": "在", "年龄": 3}, "unknown-member"),
    ],
)
def test_a_correction_that_is_none_is_refused_and_changes_nothing(
    csv: Path, database_url: str, vault: Vault, record: dict[str, Any], told: str
) -> None:
    bring_in(csv, database_url, vault)
    before = standing(database_url)
    with pytest.raises(CorrectionRefused, match=told) as refused:
        fix(database_url, vault, waiting_row(database_url, "wrong-column-count"), record)
    assert PEOPLE[3] not in str(refused.value)
    assert standing(database_url) == before
    assert sql(database_url, "SELECT * FROM exchange.correction") == []


def test_an_ambiguous_digest_finds_more_than_one_row(csv: Path, database_url: str, vault: Vault) -> None:
    bring_in(csv, database_url, vault)
    row = waiting_row(database_url, "wrong-column-count")
    with psycopg.connect(database_url) as connection:
        assert quarantine.with_digest(connection, "census", row.digest.hex()) == [row]
        assert len(quarantine.with_digest(connection, "census", "")) == 2
        assert quarantine.with_digest(connection, "other", row.digest.hex()) == []


def test_what_settles_a_batch_is_told_the_rows_that_did_not_come_in(
    csv: Path, database_url: str, vault: Vault
) -> None:
    told: list[tuple[int, list[int]]] = []

    def settle(connection: psycopg.Connection, _run: uuid.UUID, end: int, left: list[BadRow]) -> None:
        told.append((end, sorted(row.origin_row for row in left)))

    known = mapping()
    run(known, FileSource(csv, known), database=database_url, vault=vault, settle=settle)
    assert told == [(5, [2, 3, 4, 5])]


def test_a_record_of_xml_comes_in_once_it_is_understood(
    tmp_path: Path, database_url: str, vault: Vault
) -> None:
    def record(*members: tuple[str, str]) -> str:
        return "<r>" + "".join(f"<{name}>{value}</{name}>" for name, value in members) + "</r>"

    good = [("号码", PEOPLE[0]), ("姓名", "张"), ("状态", "在")]
    later = [("号码", PEOPLE[1]), ("姓名", "李&amp;五"), ("状态", "迁")]
    twice = [("号码", PEOPLE[2]), ("姓名", "王"), ("姓名", "汪"), ("状态", "在")]
    path = tmp_path / "census.xml"
    path.write_text(f"<all>{record(*good)}{record(*later)}{record(*twice)}</all>", encoding="utf-8")
    first = bring_in(path, database_url, vault, mapping("xml"))
    assert (first.inserted, first.reasons) == (1, {"unknown-value": 1, "duplicate-member": 1})
    report = replay(mapping("xml", more=NOW_KNOWN), database=database_url, vault=vault)
    assert (report.inserted, report.reasons) == (1, {"duplicate-member": 1})
    assert people(database_url) == 2
    assert [row[:2] for row in standing(database_url)] == [(3, "duplicate-member")]


def test_a_record_of_xml_comes_in_as_a_steward_corrected_it(
    tmp_path: Path, database_url: str, vault: Vault
) -> None:
    """Attributes and children are columns alike, and what is corrected is text, not markup."""
    wanted = mapping("xml")
    record = '<r 号码="{}"><姓名>{}</姓名><状态>{}</状态></r>'
    path = tmp_path / "census.xml"
    bad = record.format(PEOPLE[1], "李", "外")
    path.write_text(f"<all>{record.format(PEOPLE[0], '张', '在')}{bad}</all>", encoding="utf-8")
    assert bring_in(path, database_url, vault, wanted).reasons == {"unknown-value": 1}
    row = waiting_row(database_url, "unknown-value")
    said = {"号码": PEOPLE[1], "姓名": "李<五>&", "状态": "在"}

    def mend(**changes: str) -> Report:
        return correct(
            wanted, row, said | changes, editor="陈", why="查原件", database=database_url, vault=vault
        )

    with pytest.raises(CorrectionRefused, match="status"):
        mend(状态="外")
    assert [each[:2] for each in standing(database_url)] == [(2, "unknown-value")]
    assert mend().inserted == 1
    assert (people(database_url), standing(database_url)) == (2, [])
    ((raw, kept),) = sql(database_url, "SELECT raw, record FROM exchange.correction")
    assert PEOPLE[1] in quarantine.original(vault, row.digest, raw).decode()
    assert orjson.loads(vault.open(kept, b"correction\0" + row.digest)) == said
    persons = load_registers()["persons"]
    subject = vault.blind_index("citizen-id", PEOPLE[1])
    with psycopg.connect(database_url) as connection:
        shown = current_rows(connection, persons.table, [subject])[subject]
    assert opened(vault, persons, subject, *shown)["name"] == "李<五>&"
