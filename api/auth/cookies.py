"""The cookies with a browser's tokens: hidden from scripts, and not sent with requests of other sites' pages.

Browsers limit a cookie to 4096 bytes. A token with many groups is longer and continues in `phjob_token_1`, ...

Over HTTPS, the names have a prefix: browsers accept `__Host-` cookies only from this host, and `__Secure-` cookies only
from HTTPS. Without the prefix, a site of a neighbouring host name could sign visitors in as somebody else. Over plain
HTTP, as in local mode, browsers reject the prefixes, so the names have none.
"""

from collections.abc import Iterable, Iterator

import flask
from werkzeug.datastructures import MultiDict

from api.errors import NotAuthenticated

COOKIE = "phjob_token"
_NAMES = (COOKIE, *(f"{COOKIE}_{number}" for number in range(1, 5)))
_MAX_PART_LENGTH = 3800  # leaves room for the cookie's name and attributes
# The refresh token. The browser sends it to the session endpoint only.
_REFRESH_COOKIE, _REFRESH_PATH = "phjob_renewal", "/api/session"

Cookies = MultiDict[str, str]


def cookie_name(name: str, path: str, secure: bool) -> str:
    """Return the name of a cookie for `path` with the strictest prefix that browsers accept."""
    if not secure:
        return name
    return ("__Host-" if path == "/" else "__Secure-") + name


def has_token(cookies: Cookies, has_tls: bool) -> bool:
    """Whether the browser has sent a token. `has_tls`: ignore cookies that may have been set without HTTPS."""
    return cookie_name(COOKIE, "/", _is_secure(cookies, has_tls)) in cookies


def read_token(cookies: Cookies, has_tls: bool) -> str:
    """Return the token that the browser has sent, or "". `has_tls`: as for `has_token`.

    Raises:
        NotAuthenticated: a cookie was sent twice, so another site may have set one of them.
    """
    secure = _is_secure(cookies, has_tls)
    return "".join(_parts(cookies, [cookie_name(name, "/", secure) for name in _NAMES]))


def read_refresh_token(cookies: Cookies, has_tls: bool) -> str:
    """Return the refresh token that the browser has sent, or "" if it sent none or several."""
    name = cookie_name(_REFRESH_COOKIE, _REFRESH_PATH, _is_secure(cookies, has_tls))
    values = set(cookies.getlist(name))
    return values.pop() if len(values) == 1 else ""


def write_tokens(
    response: flask.Response, token: str, refresh_token: str = "", *, secure: bool, delete_unsent: bool = False
) -> None:
    """Set the token cookies for this browser session; an empty token deletes its cookies.

    `secure`: send them over HTTPS only. `delete_unsent`: also delete cookies that this request did not carry. Needed
    after a redirect from another site, as browsers withhold Strict cookies from such a request.
    """
    parts = [token[at : at + _MAX_PART_LENGTH] for at in range(0, len(token), _MAX_PART_LENGTH)]
    texts = [(name, parts[number] if number < len(parts) else "", "/") for number, name in enumerate(_NAMES)]
    stored = refresh_token if len(refresh_token) <= _MAX_PART_LENGTH else ""
    for name, text, path in [*texts, (_REFRESH_COOKIE, stored, _REFRESH_PATH)]:
        _write(response, cookie_name(name, path, secure), text, path, secure, delete_unsent)
        if secure:  # an unused cookie without the prefix, from plain HTTP or an earlier version, lengthens requests
            _write(response, name, "", path, secure, delete_unsent)


def _is_secure(cookies: Cookies, has_tls: bool) -> bool:
    """Whether to read the cookies with a prefix. Without `has_tls`, a proxy may have terminated TLS."""
    return has_tls or cookie_name(COOKIE, "/", secure=True) in cookies


def _parts(cookies: Cookies, names: Iterable[str]) -> Iterator[str]:
    for name in names:
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
