"""What both clients are made of."""

from __future__ import annotations

from foundation.calling.conversation import Party
from foundation.calling.retrying import Patience
from foundation.calling.tokens import Identity
from zhengtong.client.keys import PrivateKey, load_private_key

TIMEOUT_SECONDS = 30.0


def make_party(
    base_url: str,
    client_id: str | None,
    private_key: PrivateKey | None,
    *,
    key_id: str | None,
    issuer: str | None,
    id_token: str | None,
    timeout: float,
    patience: Patience | None,
) -> Party:
    """Return who talks to whom.

    Raises:
        ValueError: neither a registered system, nor a person's token, nor nothing.
    """
    if (client_id is None) != (private_key is None) or (client_id is not None and id_token is not None):
        raise ValueError("give client_id with private_key, or id_token, or none of them")
    identity = None
    if client_id is not None and private_key is not None:
        identity = Identity(client_id, load_private_key(private_key, key_id))
    address = base_url.rstrip("/")
    return Party(
        address,
        identity,
        address if issuer is None else issuer,
        timeout,
        bearer=id_token,
        patience=Patience() if patience is None else patience,
    )
