"""Issuing many licences: jobs with progress and a report, that go on where they were when a process died."""
