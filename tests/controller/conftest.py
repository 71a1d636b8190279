"""Fixtures: the fake API server and a client of it."""

from tests.kube.conftest import client, server

__all__ = ["client", "server"]
