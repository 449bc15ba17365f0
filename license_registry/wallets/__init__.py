"""Standard wallets: OpenID4VCI 1.0 brings a licence into one, OpenID4VP 1.0 shows it from there."""
