"""Closed cases as e-archive packages (电子档案): gathered, packed once, given to the department that decided."""
