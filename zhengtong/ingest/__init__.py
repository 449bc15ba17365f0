"""Batches that departments send themselves: the same pipeline as for a file, over HTTP."""
