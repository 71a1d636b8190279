"""A user with a browser: fills in Keycloak's login form, and keeps the cookies of Keycloak and of the service."""

import html
import re

import requests

from tests.api.auth.oidc_server import MADE
from tests.api.web.site import Visitor
from tests.keycloak.realm import PASSWORD

_FORM = re.compile(r'<form[^>]* id="kc-form-login"[^>]* action="([^"]+)"')
_QUESTION = 'id="kc-logout"'  # the button of "Do you want to log out?"


class KeycloakVisitor(Visitor):
    """A visitor who signs in at Keycloak."""

    def follow(self, url: str) -> requests.Response:
        """Open a page of Keycloak."""
        answer = self.open(url)
        self._accept_cookies()
        return answer

    def sign_in_as(self, user: str, then: str = "/") -> requests.Response:
        """Sign in with the user's password, and return the response of the callback."""
        login = self.ask("GET", "/api/session/login", params={"next": then})
        assert login.status_code == 303, login.text
        page = self.follow(login.headers["Location"])
        form = _FORM.search(page.text)
        assert form, page.text
        fields = {"username": user, "password": PASSWORD}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": None}
        back = self.ask("POST", html.unescape(form[1]), headers, data=fields)
        assert back.status_code == 302, back.text
        self._accept_cookies()
        answer = self.open(back.headers["Location"])
        MADE.extend(text for name, text in self.stored_cookies().items() if name.startswith("phjob_"))
        return answer

    def has_keycloak_session(self) -> bool:
        """Whether Keycloak would sign this browser in without asking for the password."""
        return self.follow(self.ask("GET", "/api/session/login").headers["Location"]).status_code == 302

    def sign_out(self) -> str:
        """Sign out of the service; return the address that ends the session with Keycloak."""
        answer = self.ask("DELETE", "/api/session")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["signOutUrl"])

    def is_asked(self, url: str) -> bool:
        """Open the address that ends the session; return whether Keycloak asks if the user wants that."""
        answer = self.follow(url)
        assert answer.status_code in (200, 302), answer.text
        assert answer.status_code == 200 or answer.headers["Location"] == f"{self.url}/"
        return _QUESTION in answer.text

    def _accept_cookies(self) -> None:
        """Send secure cookies to Keycloak without TLS, as browsers do if it is on this machine."""
        for cookie in self.cookies.cookies:
            cookie.secure = False
