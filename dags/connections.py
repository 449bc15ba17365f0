"""Addresses and secrets of sources, out of Airflow's connections and whatever backend stands behind them."""

from __future__ import annotations

from airflow.sdk import Connection


def connection_uri(name: str) -> str:
    """Return the URI of an Airflow connection, with its secrets: a resolver for the origins of mappings.

    Raises:
        AirflowNotFoundException: there is no connection of this name.
    """
    return str(Connection.get(name).get_uri())
