"""Bringing in matters as departments keep them: JSON and workbooks, by layouts that are data."""
