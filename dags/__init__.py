"""Airflow: one thin file per job. What a job does stands in `connectors`; here is when, in what order, how often."""
