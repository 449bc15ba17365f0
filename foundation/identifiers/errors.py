"""Why an identifier is not one."""

from __future__ import annotations


class IdentifierError(ValueError):
    """An identifier that cannot be; the message tells what and where, and never repeats the value.

    Attributes:
        kind: `citizen-id`, `uscc`, `division` or `e-licence-identifier`.
        code: `wrong-length`, `ill-formed`, `impossible-birth-date`, `wrong-check-character` or `unknown-root`;
            stable.
    """

    def __init__(self, kind: str, code: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.code = code
