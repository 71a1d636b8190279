"""What happens at Keycloak while users are signed in: its key changes, or it is down for a while."""

import pytest

from api.auth import cached_value
from tests.api.web.site import Web
from tests.keycloak.browser import KeycloakVisitor
from tests.keycloak.conftest import new_visitor
from tests.keycloak.realm import ANN, MAX, Realm
from tests.keycloak.server import Keycloak
from tests.keycloak.test_api_tokens import call


def test_new_signing_key_is_accepted_and_a_removed_key_is_not(
    hub: Web, visitor: KeycloakVisitor, realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_value, "PAUSE_SECONDS", 0.0)
    visitor.sign_in_as(ANN)
    assert visitor.graphql().status_code == 200
    realm.add_signing_key()
    newer = new_visitor(hub)
    assert newer.sign_in_as(MAX).status_code == 303
    assert [user.graphql().status_code for user in (visitor, newer)] == [200, 200]
    assert call(hub, realm.create_api_token(ANN))[0] == 200
    realm.remove_older_signing_keys()
    monkeypatch.setattr(cached_value, "FRESH_SECONDS", 0.0)  # five minutes later
    assert [user.graphql().status_code for user in (visitor, newer)] == [401, 200]
    # Keycloak shows an error page, and ends no session, if the key of the hint is gone.
    assert visitor.is_asked(visitor.sign_out())
    assert not newer.is_asked(newer.sign_out())


def test_users_stay_signed_in_while_keycloak_is_down(
    hub: Web, visitor: KeycloakVisitor, realm: Realm, keycloak: Keycloak, caplog: pytest.LogCaptureFixture
) -> None:
    visitor.sign_in_as(ANN)
    token, another = realm.create_api_token(ANN), realm.create_api_token(ANN)
    assert call(hub, token)[0] == 200
    keycloak.stop()
    try:
        assert visitor.graphql().status_code == 200
        assert call(hub, token)[0] == 200  # cached
        code, message = call(hub, another)
        assert (code, "because the issuer does not answer; retry later" in message) == (503, True)
        assert 'token exchange failed reason="Connection refused"' in caplog.text
        hub.clock.ahead = 301
        assert visitor.ask("GET", "/api/session").status_code == 503
    finally:
        keycloak.start()
    realm.warm_up()
    assert visitor.session()["user"]["username"] == ANN
    assert call(hub, another)[0] == 200
    assert new_visitor(hub).sign_in_as(ANN).status_code == 303
