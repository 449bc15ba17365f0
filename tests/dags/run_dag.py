"""Run one DAG of a file once, as `airflow dags test` does. Usage: run_dag.py MODULE DAG-ID [LOGICAL-DATE [CONF]]."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import datetime

from airflow.sdk import DAG

module, dag_id, *more = sys.argv[1:]
when = datetime.fromisoformat(more[0]) if more else None
conf = json.loads(more[1]) if more[1:] else None
found = {d.dag_id: d for d in vars(importlib.import_module(module)).values() if isinstance(d, DAG)}
run = found[dag_id].test(logical_date=when, run_conf=conf)
sys.exit(0 if run.state == "success" else f"{dag_id}: {run.state}")
