"""Reading a mapping file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

import jsonschema_rs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.mapping.origins import Origin, RestOrigin, SqlOrigin, TimestampCursor
from connectors.sources.raw import SourceError, Wanted
from exchange.registers.schemas import RegisterSchema, load_registers
from foundation.identifiers import find
from foundation.language import _

ColumnKind = Literal[
    "text", "date", "amount", "name", "address", "code", "citizen-id", "uscc", "division", "dictionary"
]
LeadRank = Annotated[int, Field(ge=1, le=999)]
Share = Annotated[float, Field(ge=0, le=1)]


class Column(BaseModel):
    """One column: its name in the source, the register's field, and what kind of value it holds.

    Args:
        also: further names under which files of this source have the column.
        dictionary: for kind `dictionary`: value in the source → value in the register.
        old_number_field: for kind `uscc`: field that an old registration number of 13 to 15 digits goes to.
        excel_serial: for kind `date`: a bare number is the day number of a workbook (1900 system).
        amount_field: for kind `amount`: field for the sum in whole units of its currency, beside the text as written.
        currency_field: for kind `amount`: field for the currency, as its code of ISO 4217.
        division_field: for kind `address`: field for the code of its division (GB/T 2260), where that is certain.
        lead_rank: rank of this source for this field, where it differs from the source's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    also: list[str] = []
    field: str
    kind: ColumnKind = "text"
    dictionary: dict[str, str] = {}
    old_number_field: str | None = None
    excel_serial: bool = False
    amount_field: str | None = None
    currency_field: str | None = None
    division_field: str | None = None
    lead_rank: LeadRank | None = None


class Comparison(BaseModel):
    """A look at another register: does it know the subject, and does its lead source say the same?"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    register_name: Annotated[str, Field(alias="register")]
    key: str
    fields: dict[str, str] = {}


class Gates(BaseModel):
    """What a file must be as a whole before anything of it is brought in; a gate that is not named is open.

    Args:
        shares_from_rows: a share of fewer rows than this says nothing: such a file passes the gates on shares.
        quarantined_share: at most this share of the rows may fail the checks.
        rows_at_least: rows of the file, good and bad.
        rows_change: the number of rows may differ by at most this share from the last run that came to its end.
        completeness: field → share of the good rows that must have it.
        freshness: field of kind `date` → days that its latest day may be old.
        uniqueness: different keys per good row, at least.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shares_from_rows: Annotated[int, Field(ge=1)] = 100
    quarantined_share: Share | None = None
    rows_at_least: Annotated[int, Field(ge=1)] | None = None
    rows_change: Annotated[float, Field(gt=0)] | None = None
    completeness: dict[str, Share] = {}
    freshness: dict[str, Annotated[int, Field(ge=0)]] = {}
    uniqueness: Share | None = None


class Snapshot(BaseModel):
    """Each file of the source names everybody it speaks of: whom it no longer names, the register ends.

    Args:
        ended_share: at most this share of the subjects may end with one file; beyond it none does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ended_share: Share


class SourceMapping(BaseModel):
    """A source: where its rows go and what its columns mean.

    Args:
        lead_rank: 1 leads before 2 where several sources have a value for a field (一数一源); a column may differ.
        snapshot: for files that are complete; without it a subject that a file does not name stays as it is.
        format: of the file, or of what is inside a gz or zip; `detect`: as it turns out to be.
        encoding: of delimited text and dBASE tables; GBK and GB2312 are parts of GB18030. XML declares its own, JSON
            is UTF-8. `detect`: of the two, that of most lines; for a dBASE table what it states goes first.
        delimiter: of delimited text; `detect`: the one that makes the header show the columns.
        rows_above: of delimited text and sheets: rows above the header, such as a title; empty ones do not count.
        members: which members of a zip are read, by patterns as of a shell; each is a part of the run.
        sheet: the only sheet of a workbook that is read; None: all that have anything in them.
        records_member: of a JSON object, in which the array of the records stands.
        record_element: local name of the XML element that is a record; None: the first that has a wanted column.
        empty: texts that mean 'no value'.
        area: code of the province or city (GB/T 2260) whose addresses may begin with the county.
        birth_date_of: citizen ID field and date field that must agree.
        senders: client ids of the systems that may send batches of this source themselves (`docs/sending.md`).
        constants: field → value that it has in each row, where no column says what is so of all of them.
        ignore: columns of the source that are not taken; a column named neither here nor there stops a run.
        issued_by: for credentials: client id of the issuing authority's system in whose name licences are issued for
            them, each time the register was brought in (`docs/issuing.md`); None: only by command.
        department: short name of whoever sends it; the sources of one department share a pool in Airflow.
        schedule: when a file is expected, as cron has it; Airflow then waits for it from that time on.
        deadline_minutes: from when a run was queued in Airflow, until it is to be through.
        origin: where the rows or files are fetched; None: files are handed in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    title: str
    contact: str
    register_name: Annotated[str, Field(alias="register")]
    format: Literal["delimited", "json-array", "json-lines", "workbook", "xml", "dbf", "records", "detect"]
    encoding: Literal["utf-8", "gb18030", "detect"] = "utf-8"
    delimiter: Annotated[str, Field(pattern=r"^([,;\t|，]|detect)$")] = ","
    rows_above: Annotated[int, Field(ge=0, le=100)] = 0
    members: Annotated[list[str], Field(min_length=1)] = ["*"]
    sheet: str | None = None
    records_member: str | None = None
    record_element: str | None = None
    empty: list[str] = [""]
    columns: list[Column]
    constants: dict[str, str] = {}
    ignore: list[str] = []
    area: Annotated[str, Field(pattern=r"^[0-9]{4}00$")] | None = None
    birth_date_of: tuple[str, str] | None = None
    compare: list[Comparison] = []
    gates: Gates | None = None
    lead_rank: LeadRank = 100
    snapshot: Snapshot | None = None
    senders: list[str] = []
    issued_by: str | None = None
    department: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,60}$")] | None = None
    schedule: Annotated[str, Field(pattern=r"^([-0-9A-Za-z*,/#]+ ){4}[-0-9A-Za-z*,/#]+$")] | None = None
    deadline_minutes: Annotated[int, Field(ge=1)] | None = None
    origin: Origin | None = None

    @property
    def wanted(self) -> Wanted:
        """The columns in the order of `columns`, each under all its names, and those to be left."""
        return Wanted(tuple((c.column, *c.also) for c in self.columns), frozenset(self.ignore))

    @property
    def has_windows(self) -> bool:
        """Whether the origin can be asked for what changed within a window of time."""
        return (
            isinstance(self.origin, SqlOrigin)
            and isinstance(self.origin.cursor, TimestampCursor)
            and self.snapshot is None
        )

    @property
    def ranged_column(self) -> Column | None:
        """The column of the origin's key, where the origin is brought in by ranges of it; None: in one piece."""
        if not isinstance(self.origin, SqlOrigin) or self.origin.ranges == 1:
            return None
        return next((c for c in self.columns if self.origin.key in (c.column, *c.also)), None)


def mapping_names(folder: Path | None = None) -> list[str]:
    """Return the names of all sources that have a mapping: those that come along, and those of one's own folder."""
    return sorted(_files(folder))


def load_mapping(source: str, folder: Path | None = None) -> SourceMapping:
    """Read the mapping of a source.

    Args:
        folder: mappings of this city, beside those that come along; one of the same name takes the other's place.

    Raises:
        SourceError: there is none of this name, or it does not fit its schema or its register.
    """
    file = _files(folder).get(source)
    if file is None:
        known = ", ".join(mapping_names(folder))
        raise SourceError(_("no source {source}; known are {known}"), source=source[:60], known=known)
    return parse_mapping(source, file.read_text(encoding="utf-8"))


def _files(folder: Path | None) -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for place in (resources.files("connectors.mapping") / "files", folder):
        if place is not None and place.is_dir():
            files = (file for file in place.iterdir() if file.name.endswith(".yaml"))
            found |= {file.name.removesuffix(".yaml"): file for file in files}
    return found


def parse_mapping(source: str, text: str) -> SourceMapping:
    """Read a mapping from its YAML.

    Raises:
        SourceError: it does not fit its schema or its register; says at which place.
    """
    try:
        mapping = SourceMapping.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise _wrong(source, " ".join(str(error).split())) from error
    except ValidationError as error:
        places = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise _wrong(source, "; ".join(places)) from error
    faults = list(_faults(mapping))
    if faults:
        raise _wrong(source, "; ".join(faults))
    return mapping


def _wrong(source: str, reason: str) -> SourceError:
    return SourceError(_("the mapping of {source} is wrong: {reason}"), source=source, reason=reason)


def _faults(mapping: SourceMapping) -> Iterator[str]:
    """Yield what the mapping's own schema cannot see: names that its register, or another, does not have."""
    registers = load_registers()
    register = registers.get(mapping.register_name)
    if register is None:
        yield f"register: unknown {mapping.register_name}"
        return
    columns, fields = Counter[str](), Counter[str]()
    for number, column in enumerate(mapping.columns):
        columns.update((column.column, *column.also))
        beside = (column.old_number_field, column.amount_field, column.currency_field, column.division_field)
        for name in (column.field, *beside):
            if name is not None:
                fields[name] += 1
                if name not in register.fields:
                    yield f"columns.{number}: {register.name} has no field {name}"
        if (column.kind == "dictionary") != bool(column.dictionary):
            yield f"columns.{number}: a dictionary belongs to kind dictionary, and to no other"
        if column.old_number_field is not None and column.kind != "uscc":
            yield f"columns.{number}: old_number_field belongs to kind uscc"
        if column.excel_serial and column.kind != "date":
            yield f"columns.{number}: excel_serial belongs to kind date"
        if (column.amount_field or column.currency_field) and column.kind != "amount":
            yield f"columns.{number}: amount_field and currency_field belong to kind amount"
        if column.division_field is not None and column.kind != "address":
            yield f"columns.{number}: division_field belongs to kind address"
        if (column.amount_field is None) != (column.currency_field is None):
            yield f"columns.{number}: amount_field and currency_field go together"
    for name, value in mapping.constants.items():
        fields[name] += 1
        if name not in register.fields:
            yield f"constants: {register.name} has no field {name}"
        elif not jsonschema_rs.is_valid(dict(register.schema["properties"][name]), value):
            yield f"constants: {value!r} is no value of {name}"
    columns.update(mapping.ignore)
    if mapping.issued_by is not None and register.name != "credentials":
        yield f"issued_by: licences are issued for credentials, and {register.name} holds none"
    if mapping.area is not None and find(mapping.area) is None:
        yield f"area: unknown division {mapping.area}"
    if (mapping.format == "records") != (
        mapping.origin is not None and mapping.origin.kind in {"sql", "rest"}
    ):
        yield "format: records belongs to an origin of kind sql or rest, and to no other"
    goes_on = (isinstance(mapping.origin, SqlOrigin) and mapping.origin.cursor is not None) or (
        isinstance(mapping.origin, RestOrigin) and mapping.origin.append_only
    )
    if mapping.snapshot is not None and goes_on:
        yield "snapshot: a run that goes on where the last one ended does not name everybody"
    if isinstance(mapping.origin, SqlOrigin) and mapping.origin.ranges > 1:
        yield from _range_faults(mapping, mapping.origin, register)
    for names in (columns, fields):
        yield from (
            f"columns: {name} stands there {count} times" for name, count in names.items() if count > 1
        )
    for name in register.schema["required"]:
        if name not in fields:
            yield f"columns: none for the required field {name}"
    for name in mapping.birth_date_of or ():
        if name not in fields:
            yield f"birth_date_of: no column for {name}"
    for name in mapping.gates.completeness if mapping.gates is not None else ():
        if name not in fields:
            yield f"gates.completeness: no column for {name}"
    dates = {column.field for column in mapping.columns if column.kind == "date"}
    for name in mapping.gates.freshness if mapping.gates is not None else ():
        if name not in dates:
            yield f"gates.freshness: no column of kind date for {name}"
    for number, comparison in enumerate(mapping.compare):
        other = registers.get(comparison.register_name)
        if other is None:
            yield f"compare.{number}: unknown register {comparison.register_name}"
            continue
        for name in (comparison.key, *comparison.fields):
            if name not in fields:
                yield f"compare.{number}: no column for {name}"
        for name in comparison.fields.values():
            if name not in other.fields:
                yield f"compare.{number}: {other.name} has no field {name}"


def _range_faults(mapping: SourceMapping, origin: SqlOrigin, register: RegisterSchema) -> Iterator[str]:
    """Yield why a source cannot be brought in by ranges that know nothing of each other (decision 12)."""
    if origin.cursor is not None:
        yield "origin.ranges: a source with a cursor is read in one piece"
    if mapping.gates is not None:
        yield "origin.ranges: gates judge the whole source, and a range does not know the others"
    if mapping.snapshot is not None:
        yield "origin.ranges: whom a snapshot no longer names is known of the whole source only"
    _kind, names = register.keys[0]
    column = mapping.ranged_column
    if column is None or column.field not in names:
        yield f"origin.ranges: the column {origin.key} would have to go into the field {' or '.join(names)}"
    elif column.kind not in ("text", "code", "citizen-id", "uscc"):
        yield f"origin.ranges: the key {origin.key} cannot be of kind {column.kind}"
