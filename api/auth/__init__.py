"""Authentication and authorization: authenticators, permissions, sign-in at the issuer, signed links."""
