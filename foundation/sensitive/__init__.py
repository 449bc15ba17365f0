"""Sensitive fields at rest: sealed with AES-256-GCM or SM4-GCM, looked up by a keyed blind index."""

from foundation.sensitive.ciphers import CipherName
from foundation.sensitive.fields import Split, sensitive_fields
from foundation.sensitive.keyring import Keyring, KeyringError, open_keyring, rotate_data_key
from foundation.sensitive.seal import SealBroken, Vault

__all__ = [
    "CipherName",
    "Keyring",
    "KeyringError",
    "SealBroken",
    "Split",
    "Vault",
    "open_keyring",
    "rotate_data_key",
    "sensitive_fields",
]
