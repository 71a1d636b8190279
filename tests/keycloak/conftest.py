"""One Keycloak for all tests here, with a realm like PrimeHub's, and services beside it. No secret may be logged."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import requests

from tests.api.auth.conftest import no_token_is_logged
from tests.api.auth.oidc_server import MADE
from tests.api.web.site import Web, serving
from tests.keycloak.browser import KeycloakVisitor
from tests.keycloak.realm import CONSOLE, CONSOLE_SECRET, PASSWORD, SIGN_IN, SIGN_IN_SECRET, Realm
from tests.keycloak.server import STAMP, Keycloak, installed_keycloak
from tests.machine import require

HOME = (Path(__file__).parents[2] / ".tools/keycloak").resolve()
TEST_TIMEOUT_SECONDS = 400  # includes the start of Keycloak, which is slow on a busy machine

Serve = Callable[..., AbstractContextManager[Web]]

__all__ = ["no_token_is_logged"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    require(shutil.which("java"), "Java 17 or newer (Debian's package openjdk-17-jre-headless)")
    require((HOME / STAMP).exists(), "Keycloak (make tools)")
    server = installed_keycloak(HOME, tmp_path_factory.mktemp("keycloak"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def realm(keycloak: Keycloak) -> Realm:
    MADE.extend([CONSOLE_SECRET, PASSWORD, SIGN_IN_SECRET])
    realm = Realm(keycloak.url)
    realm.create()
    realm.warm_up()
    return realm


@pytest.fixture
def serve(realm: Realm, tmp_path: Path) -> Serve:
    """Return a context manager that runs the service beside Keycloak, and enters its address there."""

    @contextmanager
    def serve(**more: str) -> Iterator[Web]:
        with serving(tmp_path, service_settings(realm) | more) as web:
            realm.register(web.url)
            yield web

    return serve


@pytest.fixture
def hub(serve: Serve) -> Iterator[Web]:
    """A service with its own client for sign-in, and the console's client for API tokens."""
    with serve() as web:
        yield web


@pytest.fixture
def visitor(hub: Web) -> KeycloakVisitor:
    return new_visitor(hub)


def new_visitor(web: Web) -> KeycloakVisitor:
    """Return a visitor with a new browser."""
    return KeycloakVisitor(web.url, web.open.enter_context(requests.Session()))


def service_settings(realm: Realm) -> dict[str, str]:
    """Return the settings of docs/operations.md."""
    return {
        "PHJOB_API_AUTH": "oidc",
        "PHJOB_API_ORIGIN": "http://127.0.0.1:PORT",
        "PHJOB_API_OIDC_ISSUER": realm.issuer,
        "PHJOB_API_OIDC_AUDIENCES": f"{SIGN_IN},{CONSOLE}",
        "PHJOB_API_OIDC_CLIENT_ID": SIGN_IN,
        "PHJOB_API_OIDC_CLIENT_SECRET": SIGN_IN_SECRET,
        "PHJOB_API_OIDC_EXCHANGE_CLIENT_ID": CONSOLE,
        "PHJOB_API_OIDC_EXCHANGE_CLIENT_SECRET": CONSOLE_SECRET,
    }
