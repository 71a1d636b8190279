"""A realm like PrimeHub's: its users and groups, the console's client, and the service's own client for sign-in."""

import time
from typing import Any

import requests

from tests.api.auth.oidc_server import MADE
from tests.keycloak.server import ADMIN, ADMIN_PASSWORD

NAME = "primehub"
PASSWORD = "password-of-the-users"
# The service's own client, and PrimeHub's console, which issues the API tokens.
SIGN_IN, SIGN_IN_SECRET = "phjob-artifacts", "s3cr3t-for-sign-in"
CONSOLE, CONSOLE_SECRET = "admin-ui", "s3cr3t-of-the-console"
ANN, ANN_GROUPS = "ann", ["Team_A", "research"]
MAX, MAX_GROUPS = "max", [f"team-{number:03}" for number in range(300)]

_CONSOLE_URL = "https://console.example.com/"
_KEY_PROVIDER = "org.keycloak.keys.KeyProvider"
_ADMIN_TOKEN_SECONDS = 30.0  # Keycloak's are valid for 60 seconds
_TIMEOUT_SECONDS = 120.0  # Keycloak's first requests are slow on a busy machine


class Realm:
    """The realm `NAME` of the Keycloak at `url`, and what its administrators can do."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.issuer = f"{url}/realms/{NAME}"
        self._token, self._token_until = "", 0.0

    def create(self) -> None:
        self._admin("POST", "", _realm())

    def warm_up(self) -> None:
        """Request tokens and the login form. The first requests take longer than the service and its users wait."""
        for user in (ANN, MAX):
            self.create_api_token(user)
        query = {"client_id": CONSOLE, "response_type": "code", "redirect_uri": _CONSOLE_URL}
        url = f"{self.issuer}/protocol/openid-connect/auth"
        assert requests.get(url, query, timeout=_TIMEOUT_SECONDS).status_code == 200

    def set_client(self, client: str, **more: Any) -> None:
        """Change a client; `attributes` are added to its own."""
        (found,) = self._admin("GET", f"{NAME}/clients?clientId={client}").json()
        attributes = found["attributes"] | more.pop("attributes", {})
        self._admin("PUT", f"{NAME}/clients/{found['id']}", found | more | {"attributes": attributes})

    def set_groups_mapper(self, *, in_id_token: bool) -> None:
        """Set whether ID tokens contain the user's groups."""
        (found,) = self._admin("GET", f"{NAME}/clients?clientId={SIGN_IN}").json()
        (mapper,) = found["protocolMappers"]
        changed = mapper | groups_mapper(in_id_token=in_id_token)
        self._admin("PUT", f"{NAME}/clients/{found['id']}/protocol-mappers/models/{mapper['id']}", changed)

    def register(self, origin: str) -> None:
        """Enter the service's address in its client, as docs/operations.md describes."""
        addresses = {"post.logout.redirect.uris": f"{origin}/"}
        self.set_client(SIGN_IN, redirectUris=[f"{origin}/api/session/callback"], attributes=addresses)

    def sign_out_user(self, user: str) -> None:
        """End all sessions of the user."""
        self._admin("POST", f"{NAME}/users/{self._user_id(user)}/logout")

    def sessions(self, user: str) -> list[Any]:
        """Return the user's sessions, without offline sessions."""
        found: list[Any] = self._admin("GET", f"{NAME}/users/{self._user_id(user)}/sessions").json()
        return found

    def add_signing_key(self) -> None:
        """Add a key that Keycloak uses from now on for new tokens."""
        parent = self._admin("GET", NAME).json()["id"]
        config = {"priority": [str(time.time_ns() // 10**9)], "keySize": ["2048"], "algorithm": ["RS256"]}
        component = {"name": "new", "providerId": "rsa-generated", "providerType": _KEY_PROVIDER, "parentId": parent}
        self._admin("POST", f"{NAME}/components", component | {"config": config})

    def remove_older_signing_keys(self) -> None:
        """Remove all signing keys but the one in use."""
        keys = self._admin("GET", f"{NAME}/components?type={_KEY_PROVIDER}").json()
        signing = [key for key in keys if key["providerId"] == "rsa-generated"]
        signing.sort(key=lambda key: int(key["config"]["priority"][0]))
        for key in signing[:-1]:
            self._admin("DELETE", f"{NAME}/components/{key['id']}")

    def create_api_token(self, user: str) -> str:
        """Return an API token as PrimeHub's console creates it: an offline token of the console's client."""
        form = {"grant_type": "password", "username": user, "password": PASSWORD, "scope": "openid offline_access"}
        token = str(self._as_console("token", form)["refresh_token"])
        MADE.append(token)
        return token

    def revoke_api_token(self, token: str) -> None:
        """End the token's offline session."""
        self._as_console("revoke", {"token": token})

    def _as_console(self, endpoint: str, form: dict[str, str]) -> Any:
        credentials = {"client_id": CONSOLE, "client_secret": CONSOLE_SECRET}
        url = f"{self.issuer}/protocol/openid-connect/{endpoint}"
        answer = requests.post(url, form | credentials, timeout=_TIMEOUT_SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    def _user_id(self, user: str) -> str:
        (found,) = self._admin("GET", f"{NAME}/users?exact=true&username={user}").json()
        return str(found["id"])

    def _admin(self, method: str, path: str, document: Any = None) -> requests.Response:
        """Send a request to the administrators' API."""
        if time.monotonic() > self._token_until:
            form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": ADMIN_PASSWORD}
            url = f"{self.url}/realms/master/protocol/openid-connect/token"
            self._token_until = time.monotonic() + _ADMIN_TOKEN_SECONDS
            self._token = requests.post(url, form, timeout=_TIMEOUT_SECONDS).json()["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"}
        url = f"{self.url}/admin/realms/{path}".rstrip("/")
        answer = requests.request(method, url, json=document, headers=headers, timeout=_TIMEOUT_SECONDS)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer


def groups_mapper(*, in_id_token: bool) -> dict[str, Any]:
    """Return the mapper that writes a user's groups to access tokens."""
    config = {
        "claim.name": "groups",
        "full.path": "true",
        "access.token.claim": "true",
        "id.token.claim": str(in_id_token).lower(),
    }
    return {
        "name": "groups",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": config,
    }


def _realm() -> dict[str, Any]:
    own = _client(SIGN_IN, SIGN_IN_SECRET) | {"attributes": {"pkce.code.challenge.method": "S256"}}
    console = _client(CONSOLE, CONSOLE_SECRET) | {"directAccessGrantsEnabled": True, "redirectUris": [_CONSOLE_URL]}
    return {
        "realm": NAME,
        "enabled": True,
        "sslRequired": "none",
        "clients": [own, console],
        "groups": [{"name": name} for name in [*ANN_GROUPS, *MAX_GROUPS]],
        "users": [_user(ANN, ANN_GROUPS), _user(MAX, MAX_GROUPS)],
    }


def _client(client: str, secret: str) -> dict[str, Any]:
    mappers = [groups_mapper(in_id_token=False)]
    return {"clientId": client, "secret": secret, "standardFlowEnabled": True, "protocolMappers": mappers}


def _user(name: str, groups: list[str]) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@example.com",
        "emailVerified": True,
        "firstName": name,
        "lastName": "Example",
        "credentials": [{"type": "password", "value": PASSWORD}],
        "groups": [f"/{group}" for group in groups],
        "realmRoles": [f"default-roles-{NAME}"],  # which include offline access, as API tokens need it
    }
