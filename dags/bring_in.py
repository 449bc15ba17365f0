"""One connector run as a task of Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from connectors.mapping import SourceMapping, load_mapping
from dags.inbox import inbox, mark
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
        # Here and not above: the DAG files are read every half minute, and only this task needs them.
        from connectors.pipeline import run
        from connectors.sources.files import FileSource
        from foundation import database
        from foundation.sensitive import Vault, open_keyring
        from foundation.settings import load_master_key

        context["file"] = self.file  # for the name of the mapped task
        settings = Settings()
        path = inbox(settings, self.source) / self.file
        now = datetime.now(UTC)
        vault = Vault(open_keyring(settings.keys_folder / "data", load_master_key(settings), now))
        marked = mark(path)
        try:
            with database.running_database(settings) as address:
                database.require_current_schema(address)
                mapping = load_mapping(self.source, settings.sources_folder)
                report = run(
                    mapping,
                    FileSource(path, mapping),
                    database=address,
                    vault=vault,
                    sources_folder=settings.sources_folder,
                )
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
            SourceError: it cannot be reached, or broke off.
        """
        import psycopg

        from connectors import cursors
        from connectors.gates import GateClosed
        from connectors.pipeline import run
        from connectors.sources.opening import open_source
        from connectors.sources.raw import HeaderDiffers
        from dags.connections import connection_uri
        from foundation import database
        from foundation.sensitive import Vault, open_keyring
        from foundation.settings import load_master_key

        settings = Settings()
        now = datetime.now(UTC)
        vault = Vault(open_keyring(settings.keys_folder / "data", load_master_key(settings), now))
        mapping = load_mapping(self.source, settings.sources_folder)
        with database.running_database(settings) as address:
            database.require_current_schema(address)
            with psycopg.connect(address) as connection:
                taken = cursors.origins_brought_in(connection, self.source)
            try:
                for origin in open_source(mapping, None, connection_uri, now, taken):
                    folder = settings.sources_folder
                    report = run(mapping, origin, database=address, vault=vault, sources_folder=folder)
                    self.reports.append(report.as_json())
            except (GateClosed, HeaderDiffers) as error:
                raise AirflowFailException(f"{error.code}: {error}") from error
        context["outlet_events"][self.register].extra = {"reports": self.reports}
        return self.reports

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage, where it listens, which column went into which field."""
        from dags.lineage import lineage

        settings = Settings()
        total = {name: sum(each[name] for each in self.reports) for name in ("inserted", "changed")}
        return lineage(load_mapping(self.source, settings.sources_folder), total)
