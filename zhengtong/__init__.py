"""The front door: the command line, and the one process that serves exchange and registry."""
