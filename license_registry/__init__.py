"""The licence registry: e-licences issued, kept, presented, verified, revoked. Knows nothing of the exchange."""
