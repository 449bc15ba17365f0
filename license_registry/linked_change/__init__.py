"""Linked change (联动变更): what becomes of all licences of a holder when something of the holder changes."""
