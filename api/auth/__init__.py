"""Authentication and authorization: authenticators, callers' rights, sign-in at the issuer, signed links."""
