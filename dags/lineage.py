"""Column lineage of a source for OpenLineage: which column of its files went into which field of the register."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)

from connectors.mapping import SourceMapping
from exchange.registers.schemas import load_registers

NAMESPACE = "zhengtong"


def columns_by_field(mapping: SourceMapping) -> dict[str, list[str]]:
    """Return for each field of the register that a source fills the columns that it comes from."""
    found: dict[str, list[str]] = defaultdict(list)
    for column in mapping.columns:
        beside = (column.old_number_field, column.amount_field, column.currency_field, column.division_field)
        for field in (column.field, *beside):
            if field is not None:
                found[field].append(column.column)
    return dict(found)


def lineage(mapping: SourceMapping, report: dict[str, Any] | None) -> OperatorLineage:
    """Return the datasets of a run, with the lineage of each column.

    The data sets are the source and the register, not the file of the day: so lineage stays one line over all days.
    Sensitive fields are masked on their way: what stands in the register is sealed.

    Args:
        report: of the run; None if it failed.
    """
    register = load_registers()[mapping.register_name]
    source = InputDataset(
        namespace=NAMESPACE,
        name=f"source/{mapping.source}",
        facets={"schema": _schema([column.column for column in mapping.columns])},
    )
    fields = {
        field: column_lineage_dataset.Fields(
            inputFields=[
                column_lineage_dataset.InputField(
                    namespace=NAMESPACE,
                    name=source.name,
                    field=column,
                    transformations=[
                        column_lineage_dataset.Transformation(
                            type="DIRECT", subtype="TRANSFORMATION", masking=field in register.sensitive
                        )
                    ],
                )
                for column in columns
            ]
        )
        for field, columns in columns_by_field(mapping).items()
    }
    output = OutputDataset(
        namespace=NAMESPACE,
        name=f"register/{register.name}",
        facets={
            "schema": _schema(register.fields),
            "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields),
        },
    )
    if report is not None:
        written = report["inserted"] + report["changed"]
        output.outputFacets = {
            "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=written
            )
        }
    return OperatorLineage(inputs=[source], outputs=[output])


def _schema(names: Any) -> schema_dataset.SchemaDatasetFacet:
    return schema_dataset.SchemaDatasetFacet(
        fields=[schema_dataset.SchemaDatasetFacetFields(name=name) for name in names]
    )
