"""The web page: its files and addresses, the browser's session, and sign-in at the issuer."""
