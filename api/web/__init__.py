"""The page: what a browser is served, and how one signs in with it."""
