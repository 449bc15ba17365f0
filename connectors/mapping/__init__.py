"""Declarative mappings from a department's columns to a register's fields, one YAML file per source."""

from connectors.mapping.mapping import (
    Column,
    Comparison,
    Gates,
    Snapshot,
    SourceMapping,
    load_mapping,
    mapping_names,
    parse_mapping,
)

__all__ = [
    "Column",
    "Comparison",
    "Gates",
    "Snapshot",
    "SourceMapping",
    "load_mapping",
    "mapping_names",
    "parse_mapping",
]
