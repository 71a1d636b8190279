"""Users sign in at Keycloak, stay signed in, and sign out."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.api.served import serving as serving_process
from tests.api.web.site import Web
from tests.keycloak.browser import KeycloakVisitor
from tests.keycloak.conftest import Serve, new_visitor, service_settings
from tests.keycloak.realm import ANN, ANN_GROUPS, MAX, MAX_GROUPS, SIGN_IN, Realm

EXPIRED = "Your session has expired. Sign in again to continue."


@pytest.fixture
def ann(visitor: KeycloakVisitor) -> KeycloakVisitor:
    """A user who is signed in."""
    assert visitor.sign_in_as(ANN).status_code == 303
    return visitor


@pytest.fixture
def short_tokens(realm: Realm) -> Iterator[None]:
    """Tokens that are valid for one second."""
    realm.set_client(SIGN_IN, attributes={"access.token.lifespan": "1"})
    yield
    realm.set_client(SIGN_IN, attributes={"access.token.lifespan": ""})


@pytest.fixture
def groups_in_id_token(realm: Realm) -> Iterator[None]:
    """ID tokens with the user's groups, which is Keycloak's default for a new mapper."""
    realm.set_groups_mapper(in_id_token=True)
    yield
    realm.set_groups_mapper(in_id_token=False)


def test_user_signs_in_with_pkce_and_gets_the_groups(visitor: KeycloakVisitor) -> None:
    url = visitor.ask("GET", "/api/session/login").headers["Location"]
    assert parse_qs(urlsplit(url).query)["code_challenge_method"] == ["S256"]  # Keycloak's client requires it
    back = visitor.sign_in_as(ANN, "/jobs/job-1")
    assert (back.status_code, back.headers["Location"]) == (303, "/jobs/job-1")
    user = visitor.session()["user"]
    assert (user["username"], sorted(user["groups"]), user["isAdmin"]) == (ANN, ANN_GROUPS, False)
    assert visitor.graphql().status_code == 200


def test_user_in_300_groups_can_use_the_service(realm: Realm, tmp_path: Path) -> None:
    with serving_process(tmp_path, **service_settings(realm)) as served, requests.Session() as cookies:
        visitor = KeycloakVisitor(f"http://127.0.0.1:{served.port}", cookies)
        realm.register(visitor.url)
        answer = visitor.sign_in_as(MAX)
        assert answer.status_code == 303, answer.text
        token = [text for name, text in visitor.stored_cookies().items() if name.startswith("phjob_token")]
        assert (len(token), max(map(len, token))) == (2, 3800)
        assert sorted(visitor.session()["user"]["groups"]) == MAX_GROUPS
        assert visitor.graphql().status_code == 200
        assert not visitor.is_asked(visitor.sign_out())
        assert visitor.session()["user"] is None


@pytest.mark.usefixtures("groups_in_id_token")
def test_id_token_with_300_groups_still_signs_out(visitor: KeycloakVisitor) -> None:
    assert visitor.sign_in_as(MAX).status_code == 303
    assert "phjob_id_token_1" in visitor.stored_cookies()
    assert visitor.graphql().status_code == 200
    assert not visitor.is_asked(visitor.sign_out())


def test_tokens_are_refreshed_as_often_as_they_expire(ann: KeycloakVisitor, hub: Web) -> None:
    first = ann.stored_cookies()
    for _ in range(3):
        hub.clock.ahead += 290
        assert ann.session()["user"]["username"] == ANN
        assert ann.graphql().status_code == 200
    last = ann.stored_cookies()
    assert not [name for name in ("phjob_token", "phjob_id_token") if first[name] == last[name]]


@pytest.mark.usefixtures("short_tokens")
def test_session_with_short_lived_tokens_continues(ann: KeycloakVisitor) -> None:
    for _ in range(2):
        time.sleep(1.1)
        session = ann.session()
        assert (session["user"]["username"], session["notice"]) == (ANN, None)


def test_session_that_an_administrator_ended_expires(ann: KeycloakVisitor, hub: Web, realm: Realm) -> None:
    realm.sign_out_user(ANN)
    assert ann.session()["user"]["username"] == ANN  # until the token expires, after five minutes
    hub.clock.ahead = 301
    session = ann.session()
    assert (session["user"], session["notice"]) == (None, EXPIRED)


def test_sign_out_ends_keycloaks_session_without_a_question(ann: KeycloakVisitor, realm: Realm) -> None:
    assert ann.has_keycloak_session()
    refresh_token = ann.stored_cookies()["phjob_renewal"]
    assert not ann.is_asked(ann.sign_out())
    assert not ann.has_keycloak_session()
    assert realm.sessions(ANN) == []
    answer = ann.ask("GET", "/api/session", {"Cookie": f"phjob_renewal={refresh_token}"})
    assert answer.json()["user"] is None


@pytest.mark.usefixtures("short_tokens")
def test_sign_out_with_expired_tokens_asks_no_question(ann: KeycloakVisitor) -> None:
    time.sleep(2)
    assert not ann.is_asked(ann.sign_out())
    assert not ann.has_keycloak_session()


def test_sign_out_asks_no_question_if_the_session_has_ended_already(ann: KeycloakVisitor, realm: Realm) -> None:
    realm.sign_out_user(ANN)
    assert not ann.is_asked(ann.sign_out())


def test_user_who_does_not_follow_to_keycloak_is_signed_out_here(ann: KeycloakVisitor) -> None:
    assert ann.sign_out()
    assert [name for name in ann.stored_cookies() if name.startswith("phjob_") and name != "phjob_signin"] == []
    assert ann.session()["user"] is None
    assert ann.graphql().status_code == 401


def test_sign_out_of_one_user_does_not_end_another_users_session(hub: Web, ann: KeycloakVisitor) -> None:
    another = new_visitor(hub)
    another.sign_in_as(MAX)
    ann.is_asked(ann.sign_out())
    assert another.has_keycloak_session()
    assert another.session()["user"]["username"] == MAX


def test_wrong_secret_of_the_sign_in_client_is_reported(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with serve(PHJOB_API_OIDC_CLIENT_SECRET="wrong") as web:
        answer = new_visitor(web).sign_in_as(ANN)
    assert (answer.status_code, "ask an administrator to check the client" in answer.text) == (503, True)
    assert f"sign-in failed error=unauthorized_client client={SIGN_IN}" in caplog.text
