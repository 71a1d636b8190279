"""The cookies with a browser's tokens: hidden from scripts, and not sent with requests of other sites' pages.

Browsers limit a cookie to 4096 bytes. A token with many groups is longer and continues in `phjob_token_1`, ...
"""

from collections.abc import Iterator

import flask
from werkzeug.datastructures import MultiDict

from api.errors import NotAuthenticated

COOKIE = "phjob_token"
_NAMES = (COOKIE, *(f"{COOKIE}_{number}" for number in range(1, 5)))
_MAX_PART_LENGTH = 3800  # leaves room for the cookie's name and attributes
# The refresh token. The browser sends it to the session endpoint only.
_REFRESH_COOKIE, _REFRESH_PATH = "phjob_renewal", "/api/session"

Cookies = MultiDict[str, str]


def has_token(cookies: Cookies) -> bool:
    """Whether the browser has sent a token."""
    return COOKIE in cookies


def read_token(cookies: Cookies) -> str:
    """Return the token that the browser has sent, or "".

    Raises:
        NotAuthenticated: a cookie was sent twice, so another site may have set one of them.
    """
    return "".join(_parts(cookies))


def read_refresh_token(cookies: Cookies) -> str:
    """Return the refresh token that the browser has sent, or ""."""
    return cookies.get(_REFRESH_COOKIE, "")


def write_tokens(
    response: flask.Response, token: str, refresh_token: str = "", *, secure: bool, delete_unsent: bool = False
) -> None:
    """Set the token cookies for this browser session; an empty token deletes its cookies.

    `secure`: send them over HTTPS only. `delete_unsent`: also delete cookies that this request did not carry. Needed
    after a redirect from another site, as browsers withhold Strict cookies from such a request.
    """
    parts = [token[at : at + _MAX_PART_LENGTH] for at in range(0, len(token), _MAX_PART_LENGTH)]
    for number, name in enumerate(_NAMES):
        _write(response, name, parts[number] if number < len(parts) else "", "/", secure, delete_unsent)
    stored = refresh_token if len(refresh_token) <= _MAX_PART_LENGTH else ""
    _write(response, _REFRESH_COOKIE, stored, _REFRESH_PATH, secure, delete_unsent)


def _parts(cookies: Cookies) -> Iterator[str]:
    for name in _NAMES:
        values = set(cookies.getlist(name))
        if len(values) > 1:  # another site of the same domain may have set one
            raise NotAuthenticated(f"there are several cookies {name}; delete them and sign in again")
        if not values:
            return
        yield values.pop()


def _write(response: flask.Response, name: str, value: str, path: str, secure: bool, delete_unsent: bool) -> None:
    # Strict works although links from elsewhere open the page: the page itself needs no cookie, and the requests of
    # its script are same-site.
    if value:
        response.set_cookie(name, value, path=path, secure=secure, httponly=True, samesite="Strict")
    elif delete_unsent or name in flask.request.cookies:
        response.delete_cookie(name, path=path, secure=secure, httponly=True, samesite="Strict")
