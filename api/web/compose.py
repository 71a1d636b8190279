"""Puts the page's addresses together."""

from collections.abc import Iterator

from flask import Blueprint

from api.auth.attempts import Attempts
from api.auth.origins import Origins
from api.auth.signin import make_sign_in
from api.auth.tokens import Authenticators
from api.services import Services
from api.web.session import Door, session_blueprint
from api.web.signin import CALLBACK, signin_blueprint
from api.web.view import page_blueprint


def web_blueprints(
    services: Services, authenticators: Authenticators, origins: Origins, is_local: bool
) -> Iterator[Blueprint]:
    """The page, the session, and signing in at the issuer where the settings suffice for it."""
    settings, clock = services.settings, services.clock
    sign_in, has_tls = make_sign_in(settings, CALLBACK), settings.origin.lower().startswith("https:")
    yield page_blueprint()
    yield session_blueprint(Door(authenticators, origins, sign_in, is_local, has_tls, clock))
    if sign_in:
        yield signin_blueprint(sign_in, Attempts(settings.link_key, clock), authenticators, has_tls)
