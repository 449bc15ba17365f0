"""The ground floor: signing, transparency log, callers' identity, identifiers, database, settings, problems.

Knows no business: nothing here mentions a register, a grant or a licence.
"""
