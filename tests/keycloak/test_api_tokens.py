"""PrimeHub's API tokens, which Keycloak issued to the console's client."""

import pytest

from api.auth.claims import ClaimMapping
from api.auth.exchange import ACCEPTED_SECONDS, ExchangeAuthenticator, OAuthClient
from api.auth.fetch import Fetcher
from api.auth.issuer import Issuer
from api.auth.oidc import OidcAuthenticator
from api.errors import NotAuthenticated
from tests.api.auth.test_issuer import Clock
from tests.api.web.site import Web
from tests.keycloak.conftest import Serve, new_visitor
from tests.keycloak.realm import ANN, ANN_GROUPS, CONSOLE, CONSOLE_SECRET, MAX, MAX_GROUPS, SIGN_IN, Realm

REVOKED = "the API token has expired, was revoked or is damaged; create a new one"


def call(web: Web, token: str) -> tuple[int, str]:
    """Call the API with a token; return the status and the error message, or the user's name and groups."""
    visitor = new_visitor(web)
    headers = {"Authorization": f"Bearer {token}"}
    query = {"query": "{ me { username effectiveGroups { name } } }"}
    answer = visitor.ask("POST", "/api/graphql", headers, json=query)
    document = answer.json()
    if "errors" in document:
        return answer.status_code, document["errors"][0]["message"]
    me = document["data"]["me"]
    return answer.status_code, " ".join([me["username"], *sorted(group["name"] for group in me["effectiveGroups"])])


@pytest.mark.parametrize(("user", "groups"), [(ANN, ANN_GROUPS), (MAX, MAX_GROUPS)])
def test_api_token_works_beside_a_client_for_sign_in(hub: Web, realm: Realm, user: str, groups: list[str]) -> None:
    assert call(hub, realm.create_api_token(user)) == (200, " ".join([user, *groups]))


def test_api_token_of_another_client_is_refused_with_its_name(
    serve: Serve, realm: Realm, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(PHJOB_API_OIDC_EXCHANGE_CLIENT_ID="", PHJOB_API_OIDC_EXCHANGE_CLIENT_SECRET="") as web:
        code, message = call(web, realm.create_api_token(ANN))
    assert (code, "belongs to the client 'admin-ui'" in message) == (401, True)
    assert f'API token refused reason="it belongs to another client" client={CONSOLE} expected={SIGN_IN}' in caplog.text


def test_wrong_secret_of_the_exchange_client_is_reported(
    serve: Serve, realm: Realm, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(PHJOB_API_OIDC_EXCHANGE_CLIENT_SECRET="wrong") as web:
        code, message = call(web, realm.create_api_token(ANN))
    assert (code, "the issuer refuses this service as the client 'admin-ui'" in message) == (503, True)
    assert f"token exchange failed status=401 error=unauthorized_client client={CONSOLE}" in caplog.text


def test_revoked_api_token_works_for_30_seconds_at_most(realm: Realm) -> None:
    fetcher, clock = Fetcher(), Clock()
    issuer = Issuer(realm.issuer, fetcher)
    oidc = OidcAuthenticator(issuer, [CONSOLE], ClaimMapping("groups", "", ""))
    authenticator = ExchangeAuthenticator(issuer, OAuthClient(CONSOLE, CONSOLE_SECRET), oidc, fetcher, clock)
    token = realm.create_api_token(ANN)
    authenticator.authenticate(token)
    realm.revoke_api_token(token)
    clock.seconds += 29
    assert authenticator.authenticate(token).username == ANN
    clock.seconds += 1
    assert ACCEPTED_SECONDS == 30
    with pytest.raises(NotAuthenticated, match=REVOKED):
        authenticator.authenticate(token)


def test_revoked_or_damaged_api_token_is_refused_and_logged(
    hub: Web, realm: Realm, caplog: pytest.LogCaptureFixture
) -> None:
    token = realm.create_api_token(ANN)
    realm.revoke_api_token(token)
    for refused in (token, realm.create_api_token(ANN)[:-8]):
        assert call(hub, refused) == (401, REVOKED)
    assert caplog.text.count('API token refused reason="the issuer does not accept it"') == 2
