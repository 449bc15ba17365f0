"""Reading a mapping file."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.sources.raw import SourceError
from exchange.registers.schemas import load_registers
from foundation.language import _

ColumnKind = Literal["text", "date", "citizen-id", "uscc", "division", "dictionary"]


class Column(BaseModel):
    """One column: its name in the source, the register's field, and what kind of value it holds.

    Args:
        dictionary: for kind `dictionary`: value in the source → value in the register.
        old_number_field: for kind `uscc`: field that an old registration number of 13 to 15 digits goes to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    field: str
    kind: ColumnKind = "text"
    dictionary: dict[str, str] = {}
    old_number_field: str | None = None


class Comparison(BaseModel):
    """A look at another register: does it know the subject, and does its lead source say the same?"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    register_name: Annotated[str, Field(alias="register")]
    key: str
    fields: dict[str, str] = {}


class SourceMapping(BaseModel):
    """A source: where its rows go and what its columns mean.

    Args:
        empty: texts that mean 'no value'.
        birth_date_of: citizen ID field and date field that must agree.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    title: str
    contact: str
    register_name: Annotated[str, Field(alias="register")]
    format: Literal["delimited", "json-array"]
    encoding: str = "utf-8"
    delimiter: str = ","
    empty: list[str] = [""]
    columns: list[Column]
    birth_date_of: tuple[str, str] | None = None
    compare: list[Comparison] = []


def mapping_names() -> list[str]:
    """Return the names of all sources that have a mapping."""
    folder = resources.files("connectors.mapping") / "files"
    return sorted(path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml"))


def load_mapping(source: str) -> SourceMapping:
    """Read the mapping of a source.

    Raises:
        SourceError: there is none of this name, or it does not fit its schema or its register.
    """
    if source not in mapping_names():
        raise SourceError(
            _("no source {source}; known are {known}"), source=source[:60], known=", ".join(mapping_names())
        )
    text = (resources.files("connectors.mapping") / "files" / f"{source}.yaml").read_text(encoding="utf-8")
    try:
        document: Any = yaml.safe_load(text)
        mapping = SourceMapping.model_validate(document)
    except (yaml.YAMLError, ValidationError) as error:
        raise SourceError(
            _("the mapping of {source} is wrong: {reason}"), source=source, reason=error
        ) from error
    register = load_registers().get(mapping.register_name)
    fields = {column.field for column in mapping.columns}
    unknown = fields if register is None else fields.difference(register.fields)
    if unknown:
        raise SourceError(
            _("the mapping of {source} is wrong: {reason}"),
            source=source,
            reason=f"unknown {sorted(unknown)}",
        )
    return mapping
