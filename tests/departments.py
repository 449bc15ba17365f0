"""Departments of the tests."""

MARKET = "11990100MB2A00001X"
