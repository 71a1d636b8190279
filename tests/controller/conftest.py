"""An API server of our own, and a client of it."""

from tests.kube.conftest import client, server

__all__ = ["client", "server"]
