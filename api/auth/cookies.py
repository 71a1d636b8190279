"""The cookies that hold a browser's tokens: no script can read them, and no other site's page makes them be sent.

Browsers take 4096 bytes in a cookie, and a token that names many groups is longer: it goes on in `phjob_token_1`, ...
"""

from collections.abc import Iterator

import flask
from werkzeug.datastructures import MultiDict

from api.errors import NotAuthenticated

COOKIE = "phjob_token"
_NAMES = (COOKIE, *(f"{COOKIE}_{number}" for number in range(1, 5)))
_PIECE = 3800  # leaves room for the name, and for what is said of the cookie
# The token that gets the next ones; only the session's own address is sent it.
_RENEWAL, _RENEWAL_PATH = "phjob_renewal", "/api/session"

Cookies = MultiDict[str, str]


def has_token(cookies: Cookies) -> bool:
    """Whether a browser has sent a token."""
    return COOKIE in cookies


def read_token(cookies: Cookies) -> str:
    """The token that a browser has sent; "" for none. Raises NotAuthenticated where two sites have set one."""
    return "".join(_pieces(cookies))


def read_renewal(cookies: Cookies) -> str:
    """The token that gets the next ones; "" for none."""
    return cookies.get(_RENEWAL, "")


def write_tokens(
    response: flask.Response, token: str, renewal: str = "", *, secure: bool, unseen: bool = False
) -> None:
    """Have the browser keep these, "" being none, in place of what it has, until it is closed. `secure`: by https.

    `unseen`: it may have more than it sent, as when another site leads here: a Strict cookie is kept back then.
    """
    pieces = [token[at : at + _PIECE] for at in range(0, len(token), _PIECE)]
    for number, name in enumerate(_NAMES):
        _write(response, name, pieces[number] if number < len(pieces) else "", "/", secure, unseen)
    _write(response, _RENEWAL, renewal if len(renewal) <= _PIECE else "", _RENEWAL_PATH, secure, unseen)


def _pieces(cookies: Cookies) -> Iterator[str]:
    for name in _NAMES:
        values = set(cookies.getlist(name))
        if len(values) > 1:  # another site of the same domain may have added one of its own
            raise NotAuthenticated(f"there are several cookies {name}; remove them and sign in again")
        if not values:
            return
        yield values.pop()


def _write(response: flask.Response, name: str, value: str, path: str, secure: bool, unseen: bool) -> None:
    """Strict: the page itself needs no cookie, so a link from elsewhere opens it, and what it asks for has it."""
    if value:
        response.set_cookie(name, value, path=path, secure=secure, httponly=True, samesite="Strict")
    elif unseen or name in flask.request.cookies:
        response.delete_cookie(name, path=path, secure=secure, httponly=True, samesite="Strict")
