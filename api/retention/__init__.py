"""Retention: how long artifacts are kept, from the expiry files, users' decisions and the administrator's policy."""
