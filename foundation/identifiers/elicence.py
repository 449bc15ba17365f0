"""E-licence identifiers (电子证照标识, GB/T 36904): root, type, issuer, serial, version, check character."""

from __future__ import annotations

import re
from dataclasses import dataclass

from foundation.identifiers.errors import IdentifierError
from foundation.identifiers.iso7064 import mod_37_36, mod_37_36_legacy

KIND = "e-licence-identifier"
ROOT = "1.2.156.3005.2"
_TYPE = re.compile(r"[0-9A-Z]{21}")
_ISSUER = re.compile(r"[0-9A-Z]{18}|[0-9]{6}")
_SERIAL = re.compile(r"[0-9A-Z]{1,32}")
_VERSION = re.compile(r"[0-9]{3}")
_CHECK = re.compile(r"[0-9A-Z]")


@dataclass(frozen=True, slots=True)
class ElicenceIdentifier:
    """A valid e-licence identifier.

    Args:
        type_code: 21 characters: USCC of the authority that defines the type, and three more.
        issuer: USCC of the issuing authority; or its division of 6 digits, as in some that are in use.
        serial: 1 to 32 digits and capital letters, unique within issuer and type.
        version: 1 to 999; a change or renewal raises it, the serial stays.
        legacy: the check character is that of a wrong variant met in the wild. Reported, never issued.
    """

    type_code: str
    issuer: str
    serial: str
    version: int
    check: str
    legacy: bool = False

    @classmethod
    def parse(cls, text: str) -> ElicenceIdentifier:
        """Read an identifier with its dots.

        Raises:
            IdentifierError: `unknown-root`, `ill-formed` (says which part) or `wrong-check-character`.
        """
        if not text.startswith(ROOT + "."):
            raise IdentifierError(KIND, "unknown-root", f"it does not begin with {ROOT}")
        parts = text[len(ROOT) + 1 :].split(".")
        if len(parts) != 5:
            raise IdentifierError(KIND, "ill-formed", f"{len(parts)} parts after the root instead of 5")
        patterns = {"type": _TYPE, "issuer": _ISSUER, "serial": _SERIAL, "version": _VERSION, "check": _CHECK}
        for (name, pattern), part in zip(patterns.items(), parts, strict=True):
            if not pattern.fullmatch(part):
                raise IdentifierError(KIND, "ill-formed", f"the {name} is malformed")
        type_code, issuer, serial, version, check = parts
        if version == "000":
            raise IdentifierError(KIND, "ill-formed", "versions begin with 001")
        covered = type_code + issuer + serial + version
        if check == mod_37_36(covered):
            return cls(type_code, issuer, serial, int(version), check)
        if check == mod_37_36_legacy(covered):
            return cls(type_code, issuer, serial, int(version), check, legacy=True)
        raise IdentifierError(KIND, "wrong-check-character", "the last character does not fit the others")

    @classmethod
    def compute(cls, type_code: str, issuer: str, serial: str, version: int) -> ElicenceIdentifier:
        """Make an identifier: check character by ISO 7064 MOD 37,36 over the parts without dots.

        Raises:
            IdentifierError: `ill-formed`, naming the part.
        """
        if not 1 <= version <= 999:
            raise IdentifierError(KIND, "ill-formed", "the version is not within 1 to 999")
        covered = f"{type_code}{issuer}{serial}{version:03d}"
        if _TYPE.fullmatch(type_code) and _ISSUER.fullmatch(issuer) and _SERIAL.fullmatch(serial):
            return cls(type_code, issuer, serial, version, mod_37_36(covered))
        # Reading it says which part is malformed.
        check = mod_37_36(covered) if re.fullmatch(r"[0-9A-Z]+", covered) else "0"
        return cls.parse(f"{ROOT}.{type_code}.{issuer}.{serial}.{version:03d}.{check}")

    def next_version(self) -> ElicenceIdentifier:
        """Return the identifier that a change or renewal gets: same serial, next version, right check character."""
        return self.compute(self.type_code, self.issuer, self.serial, self.version + 1)

    def __str__(self) -> str:
        return f"{ROOT}.{self.type_code}.{self.issuer}.{self.serial}.{self.version:03d}.{self.check}"
