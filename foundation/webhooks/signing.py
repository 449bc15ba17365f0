"""Signing a webhook: HTTP Message Signatures (RFC 9421) over method, address, digest of the content and its type."""

from __future__ import annotations

from datetime import datetime

import httpx
from http_message_signatures import HTTPMessageSigner, algorithms

from foundation.signing import Signer

COVERED = ("@method", "@target-uri", "content-digest", "content-type")
LABEL = "zhengtong"


def signed(request: httpx.Request, signer: Signer, now: datetime) -> httpx.Request:
    """Sign a request: Content-Digest (RFC 9530) and Signature (RFC 9421).

    Args:
        signer: ES256; RFC 9421 knows no SM2.
    """
    hand = HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256)
    prepared = hand.prepare(
        request,
        key_id=signer.kid,
        label=LABEL,
        created=now,
        covered_component_ids=COVERED,
        body=request.read(),  # makes the digest
    )
    hand.apply(request, prepared, signer.sign(prepared.signature_base))
    return request
