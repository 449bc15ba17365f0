"""A large table in ranges of its key, each a task of its own: cut, brought in side by side, and told as one."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from connectors.mapping import SourceMapping
from dags.bring_in import lineage_of_all, register_asset
from dags.connections import connection_uri
from dags.connector import connector
from dags.windows import asked_window


class CutRanges(BaseOperator):  # type: ignore[misc]  # Airflow lives in an environment of its own
    """Cuts the table of a source into ranges of about as many rows. They are the XCom, their keys sealed."""

    def __init__(self, *, source: str, **options: Any) -> None:
        super().__init__(**options)
        self.source = source

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return the ranges; none if the table is empty.

        Raises:
            AirflowFailException: the run is asked for an interval.
            SourceError: the table cannot be reached or read.
        """
        from connectors.sources.key_ranges import cut

        if asked_window(context) is not None:
            raise AirflowFailException(f"no-windows: {self.source} is read by ranges of its key, not of time")
        with connector(self.source) as ready:
            return cut(ready.mapping, connection_uri, ready.now, ready.vault)


class FetchRange(BaseOperator):  # type: ignore[misc]  # as above
    """Brings in one range: a connector run of its own, whose report is the XCom. A retry finds again what came in.

    Args:
        key_range: as `CutRanges` returned it.
    """

    template_fields = ("key_range",)

    def __init__(self, *, source: str, key_range: Any, **options: Any) -> None:
        super().__init__(**options)
        self.source = source
        self.key_range = key_range

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the connector and return its report.

        Raises:
            AirflowFailException: the columns differ: somebody has to look before it is tried again.
            SourceError: the table cannot be reached, or broke off.
        """
        from connectors.sources.key_ranges import open_range
        from connectors.sources.raw import HeaderDiffers

        context["range"] = self.key_range["name"]  # for the name of the mapped task
        with connector(self.source) as ready:
            origin = open_range(ready.mapping, connection_uri, ready.now, ready.vault, self.key_range)
            try:
                report = ready.run(origin, beside=True)
            except HeaderDiffers as error:
                raise AirflowFailException(f"{error.code}: {error}") from error
        return report.as_json()


class AllIn(BaseOperator):  # type: ignore[misc]  # as above
    """Says once, when all ranges are in, that the register changed. The reports stand with the asset event.

    Args:
        fetched: id of the task that brought the ranges in.
    """

    def __init__(self, *, mapping: SourceMapping, fetched: str, **options: Any) -> None:
        self.register = register_asset(mapping.register_name)
        super().__init__(outlets=[self.register], **options)
        self.source = mapping.source
        self.fetched = fetched
        self.reports: list[dict[str, Any]] = []

    def execute(self, context: Context) -> dict[str, int]:
        """Return the counts of all ranges together."""
        self.reports = list(context["ti"].xcom_pull(task_ids=self.fetched))
        context["outlet_events"][self.register].extra = {"reports": self.reports}
        counts = ("read", "inserted", "changed", "unchanged", "quarantined")
        return {name: sum(report[name] for report in self.reports) for name in counts}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage, where it listens, which column went into which field."""
        return lineage_of_all(self.source, self.reports)
