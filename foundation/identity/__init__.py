"""Who is calling: OAuth 2 clients and their tokens, people through OpenID Connect, principals with roles."""
