"""Run one DAG of a file once, as `airflow dags test` does. Usage: run_dag.py MODULE DAG-ID."""

from __future__ import annotations

import importlib
import sys

from airflow.sdk import DAG

module, dag_id = sys.argv[1:]
found = {d.dag_id: d for d in vars(importlib.import_module(module)).values() if isinstance(d, DAG)}
run = found[dag_id].test()
sys.exit(0 if run.state == "success" else f"{dag_id}: {run.state}")
