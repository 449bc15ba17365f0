"""Connector runs as a task of Airflow: over a file, or over what an origin has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from connectors.mapping import SourceMapping, load_mapping
from dags.connections import connection_uri
from dags.connector import connector
from dags.inbox import inbox, mark
from dags.windows import asked_window
from foundation.errors import DomainError
from foundation.settings import Settings


def register_asset(name: str) -> Asset:
    """Return the asset that stands for a register."""
    return Asset(name=f"register://{name}", uri=f"register://{name}")


class BringIn(BaseOperator):  # type: ignore[misc]  # Airflow lives in an environment of its own
    """Brings one file of a source into its register. Its report is the XCom, and stands with the asset event.

    Args:
        file: name of the file in the inbox of the source.
    """

    template_fields = ("file",)

    def __init__(self, *, mapping: SourceMapping, file: Any, **options: Any) -> None:
        self.register = register_asset(mapping.register_name)
        super().__init__(outlets=[self.register], **options)
        self.source = mapping.source
        self.file = file
        self.report: dict[str, Any] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the connector and return its report, with the file and what tells it from a later one.

        Raises:
            AirflowFailException: the file is at fault: it cannot be read, or a gate of its source closed. Trying again
                mends nothing; whoever sent it has to send another.
        """
        # Here and not above: the DAG files are read every half minute, and only this task needs it.
        from connectors.sources.files import FileSource

        context["file"] = self.file  # for the name of the mapped task
        path = inbox(Settings(), self.source) / self.file
        marked = mark(path)
        try:
            with connector(self.source) as ready:
                report = ready.run(FileSource(path, ready.mapping))
        except DomainError as error:
            raise AirflowFailException(f"{error.code}: {error}") from error
        self.report = report.as_json()
        context["outlet_events"][self.register].extra = {**self.report, "file": self.file}
        return {**self.report, "file": self.file, "mark": marked}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage, where it listens, which column went into which field."""
        from dags.lineage import lineage

        settings = Settings()
        return lineage(load_mapping(self.source, settings.sources_folder), self.report)


class FetchIn(BaseOperator):  # type: ignore[misc]  # as above
    """Fetches what the origin of a source has, and brings it into its register. The reports are the XCom.

    The connection is one of Airflow's. What came in before it broke off stays, with the cursor; a retry goes on there.
    A run of a backfill fetches what changed within its data interval, and leaves the cursor alone.
    """

    def __init__(self, *, mapping: SourceMapping, **options: Any) -> None:
        self.register = register_asset(mapping.register_name)
        super().__init__(outlets=[self.register], **options)
        self.source = mapping.source
        self.reports: list[dict[str, Any]] = []

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Run the connector over all that is there, in order, and return the reports.

        Raises:
            AirflowFailException: a gate closed, or the columns differ: somebody has to look before it is tried again.
                Or the source cannot be asked for an interval.
            SourceError: it cannot be reached, or broke off.
        """
        import psycopg

        from connectors import cursors
        from connectors.gates import GateClosed
        from connectors.sources.opening import NoWindows, open_source
        from connectors.sources.raw import HeaderDiffers

        window = asked_window(context)
        with connector(self.source) as ready:
            with psycopg.connect(ready.address) as connection:
                taken = cursors.origins_brought_in(connection, self.source)
            try:
                for origin in open_source(ready.mapping, None, connection_uri, ready.now, taken, window):
                    self.reports.append(ready.run(origin).as_json())
            except (GateClosed, HeaderDiffers, NoWindows) as error:
                raise AirflowFailException(f"{error.code}: {error}") from error
        context["outlet_events"][self.register].extra = {"reports": self.reports}
        return self.reports

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage, where it listens, which column went into which field."""
        return lineage_of_all(self.source, self.reports)


def lineage_of_all(source: str, reports: Sequence[Mapping[str, Any]]) -> Any:
    """Return the lineage of several connector runs of a source as one."""
    from dags.lineage import lineage

    total = {name: sum(each[name] for each in reports) for name in ("inserted", "changed")}
    return lineage(load_mapping(source, Settings().sources_folder), total)
