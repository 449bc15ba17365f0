"""The JSON Schema of mapping files, for editors that help while one is written."""

from __future__ import annotations

import json

from connectors.mapping.mapping import SourceMapping


def mapping_schema() -> str:
    """Return the schema as it stands in `schemas/sources/mapping.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **SourceMapping.model_json_schema(by_alias=True),
    }
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
