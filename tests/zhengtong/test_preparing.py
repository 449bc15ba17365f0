"""Preparing a source by command: preview, draft, schema, and the report over time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from connectors.mapping import mapping_names, parse_mapping
from connectors.mapping.schema import mapping_schema
from tests.zhengtong.conftest import PERSON, Run, one_line
from tests.zhengtong.test_stewardship import OWN

ROOT = Path(__file__).resolve().parents[2]
GATES = "gates: {shares_from_rows: 1, quarantined_share: 0.1, rows_at_least: 1, uniqueness: 1}\n"


@pytest.fixture
def census(tmp_path: Path) -> tuple[str, str]:
    mapping, sample = tmp_path / "census.yaml", tmp_path / "census.csv"
    mapping.write_text(OWN + GATES, encoding="utf-8")
    rows = [f",{PERSON},张三丰,在", f",{PERSON[:-1]}x1,李四光,在", f",{PERSON},王五,走"]
    sample.write_text("备注,身份证号码,姓名,状态\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(mapping), str(sample)


def test_a_preview_tells_what_would_become_of_each_row_and_shows_nobody(
    run: Run, census: tuple[str, str]
) -> None:
    done = run("source", "preview", census[0], "--sample", census[1], "--json")
    found = json.loads(done.stdout)
    assert (found["read"], found["bad"]) == (3, 2)
    first, second, third = found["rows"]
    assert first["record"]["status"] == "resident"
    assert first["record"]["name"] == "字字字"
    assert (second["field"], third["reason"]) == ("citizen_id", "unknown-value")
    assert found["faults"]["status"] == {"unknown-value": 1}
    assert {gate["name"]: gate["passed"] for gate in found["gates"]} == {
        "rows_at_least": True,
        "quarantined_share": False,
        "uniqueness": True,
    }
    for text in (done.stdout, run("source", "preview", census[0], "--sample", census[1]).stdout):
        assert PERSON[:17] not in text
        assert "张三丰" not in text
        assert "王五" not in text


def test_a_preview_shows_as_many_rows_as_asked_for_and_reveals_on_demand(
    run: Run, census: tuple[str, str]
) -> None:
    done = run("source", "preview", census[0], "--sample", census[1], "--rows", "1", "--reveal", "--json")
    found = json.loads(done.stdout)
    assert found["read"] == 3
    assert [row["record"]["citizen_id"] for row in found["rows"]] == [PERSON]


def test_a_preview_with_another_header_is_refused_on_one_line(run: Run, census: tuple[str, str]) -> None:
    Path(census[1]).write_text("号码\n1\n", encoding="utf-8")
    assert "身份证号码" in one_line(run("source", "preview", census[0], "--sample", census[1]))


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_mapping_is_drafted_from_delimited_text(run: Run, tmp_path: Path, encoding: str) -> None:
    sample, output = tmp_path / "sample.csv", tmp_path / "census.yaml"
    sample.write_bytes(f"身份证号码;姓名;人口状态;备注\n{PERSON};张三丰;正常;\n".encode(encoding))
    done = run("source", "new", "census", "--sample", str(sample), "--output", str(output))
    assert done.exit_code == 0, done.stderr
    text = output.read_text(encoding="utf-8")
    assert (yaml.safe_load(text)["encoding"], yaml.safe_load(text)["delimiter"]) == (encoding, ";")
    mapping = parse_mapping("census", text + "ignore: [备注]\n")
    assert mapping.register_name == "persons"
    assert PERSON not in text
    again = run("source", "new", "census", "--sample", str(sample), "--output", str(output))
    assert one_line(again)
    assert output.read_text(encoding="utf-8") == text


def test_a_mapping_is_drafted_from_a_json_array(run: Run, tmp_path: Path) -> None:
    sample = tmp_path / "sample.json"
    sample.write_text(
        json.dumps([{"身份证号码": PERSON}, {"姓名": "张", "人口状态": "正常"}]), encoding="utf-8"
    )
    drafted = yaml.safe_load(run("source", "new", "census", "--sample", str(sample)).stdout)
    assert drafted["format"] == "json-array"
    assert [column["field"] for column in drafted["columns"]] == ["citizen_id", "name", "status"]


@pytest.mark.parametrize("content", [b"", b"  \n", b"[]", b"[1, 2]", b"\xff\xff\xff"])
def test_what_is_no_sample_is_told_on_one_line(run: Run, tmp_path: Path, content: bytes) -> None:
    sample = tmp_path / "sample"
    sample.write_bytes(content)
    assert "sample" in one_line(run("source", "new", "census", "--sample", str(sample)))


def test_the_published_schema_of_mappings_is_that_of_the_program(run: Run) -> None:
    published = (ROOT / "schemas/sources/mapping.json").read_text(encoding="utf-8")
    assert published == mapping_schema()
    assert run("source", "schema").stdout == published
    validator = Draft202012Validator(json.loads(published))
    for name in mapping_names():
        text = (ROOT / f"connectors/mapping/files/{name}.yaml").read_text(encoding="utf-8")
        assert list(validator.iter_errors(yaml.safe_load(text))) == []
    assert list(validator.iter_errors(yaml.safe_load(OWN.replace("title:", "titel:")))) != []


def test_a_source_reports_its_runs_the_latest_first(run: Run, population: Path) -> None:
    assert json.loads(run("source", "report", "population", "--json").stdout)["runs"] == []
    assert "was not brought in yet" in run("source", "report", "population").stdout
    assert "no source popullation" in one_line(run("source", "report", "popullation"))
    run("ingest", "population", "--file", str(population))
    run("quarantine", "replay", "population")
    found = json.loads(run("source", "report", "population", "--json").stdout)
    replayed, delivered = found["runs"]
    assert (replayed["replay"], delivered["replay"]) == (True, False)
    assert (delivered["read"], delivered["reasons"]) == (3, {"wrong-check-character": 1})
    assert delivered["quarantined_share"] == pytest.approx(1 / 3)
    assert found["faults"] == {"citizen_id": {"wrong-check-character": 1}}
    assert "population.csv" in run("source", "report", "population").stdout
    assert len(json.loads(run("source", "report", "population", "--runs", "1", "--json").stdout)["runs"]) == 1


def test_a_source_reports_how_it_changed(run: Run, population: Path) -> None:
    run("ingest", "population", "--file", str(population))
    found = json.loads(run("source", "report", "population", "--over", "30d", "--json").stdout)
    assert (found["previous"]["runs"], found["now"]["runs"], found["now"]["read"]) == (0, 1, 3)
    change = found["fields"]["citizen_id"]["quarantined"]["wrong-check-character"]
    assert change == {"previous": None, "now": pytest.approx(1 / 3), "difference": None}
    shown = run("source", "report", "population", "--over", "4w").stdout
    assert "33.33%" in shown
    assert PERSON not in shown
    for wrong in ("30", "0d", "d", "3m", "-1d"):
        assert run("source", "report", "population", "--over", wrong).exit_code == 2


def test_a_row_is_fixed_by_its_digest(run: Run, population: Path, tmp_path: Path) -> None:
    run("ingest", "population", "--file", str(population))
    (row,) = json.loads(run("quarantine", "show", "population", "--json").stdout)
    record = tmp_path / "record.json"
    columns = {"公民身份号码": PERSON, "姓名": "张三丰", "人口状态": "正常"}
    fix = ("quarantine", "fix", "population")
    rest = ("--record", str(record), "--by", "陈", "--reason", "查档")
    record.write_text("[1]", encoding="utf-8")
    assert "JSON" in one_line(run(*fix, row["digest"], *rest))
    record.write_text(json.dumps(columns | {"公民身份号码": "1"}), encoding="utf-8")
    assert "citizen_id" in one_line(run(*fix, row["digest"], *rest))
    record.write_text(json.dumps(columns), encoding="utf-8")
    assert "0" in one_line(run(*fix, "ffff", *rest))
    report = json.loads(run(*fix, row["digest"][:12], *rest, "--json").stdout)
    assert (report["read"], report["quarantined"]) == (1, 0)
    assert json.loads(run("quarantine", "show", "population", "--json").stdout) == []
