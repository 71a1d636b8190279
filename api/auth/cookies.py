"""The cookies with a browser's tokens: hidden from scripts, and not sent with requests of other sites' pages.

Browsers limit a cookie to 4096 bytes. A token with many groups is longer and continues in `phjob_token_1`, ... A token
that is longer than all its cookies is not stored.

Over HTTPS, the names have a prefix: browsers accept `__Host-` cookies only from this host, and `__Secure-` cookies only
from HTTPS. Without the prefix, a site of a neighbouring host name could sign visitors in as somebody else. Over plain
HTTP, as in local mode, browsers reject the prefixes, so the names have none.
"""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import flask
from werkzeug.datastructures import MultiDict

from api.auth.signin import Tokens
from api.errors import NotAuthenticated

COOKIE = "phjob_token"
_MAX_PART_LENGTH = 3800  # leaves room for the cookie's name and attributes


class _TokenCookies(NamedTuple):
    """The cookies of one token: the names of its parts, and the path that browsers send them to."""

    names: tuple[str, ...]
    path: str


_ACCESS = _TokenCookies((COOKIE, *(f"{COOKIE}_{number}" for number in range(1, 5))), "/")
_REFRESH = _TokenCookies(("phjob_renewal",), "/api/session")
# Two parts: at sign-out the ID token becomes a part of a URL, and many proxies refuse URLs of more than 8 KiB.
_ID = _TokenCookies(("phjob_id_token", "phjob_id_token_1"), "/api/session")
_ALL = (_ACCESS, _REFRESH, _ID)

# The longest Cookie header of a browser, without the cookies of other services.
MAX_HEADER_BYTES = (_MAX_PART_LENGTH + 40) * sum(len(cookies.names) for cookies in _ALL)

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
    return "".join(_parts(cookies, _ACCESS, has_tls))


def read_refresh_token(cookies: Cookies, has_tls: bool) -> str:
    """Return the refresh token that the browser has sent, or "" if it sent none or several."""
    return _read_unambiguous(cookies, _REFRESH, has_tls)


def read_id_token(cookies: Cookies, has_tls: bool) -> str:
    """Return the ID token that the browser has sent, or "" if it sent none or several."""
    return _read_unambiguous(cookies, _ID, has_tls)


def write_tokens(response: flask.Response, tokens: Tokens, *, secure: bool, delete_unsent: bool = False) -> None:
    """Set the cookies of the tokens for this browser session; an empty token deletes its cookies.

    `secure`: send them over HTTPS only. `delete_unsent`: also delete cookies that this request did not carry. Needed
    after a redirect from another site, as browsers withhold Strict cookies from such a request.
    """
    for (names, path), token in zip(_ALL, (tokens.access_token, tokens.refresh_token, tokens.id_token), strict=True):
        stored = token if len(token) <= _MAX_PART_LENGTH * len(names) else ""
        for number, name in enumerate(names):
            part = stored[number * _MAX_PART_LENGTH : (number + 1) * _MAX_PART_LENGTH]
            _write(response, cookie_name(name, path, secure), part, path, secure, delete_unsent)
            if secure:  # an unused cookie without the prefix, from plain HTTP or an earlier version, lengthens requests
                _write(response, name, "", path, secure, delete_unsent)


def _is_secure(cookies: Cookies, has_tls: bool) -> bool:
    """Whether to read the cookies with a prefix. Without `has_tls`, a proxy may have terminated TLS."""
    return has_tls or cookie_name(COOKIE, "/", secure=True) in cookies


def _read_unambiguous(cookies: Cookies, read: _TokenCookies, has_tls: bool) -> str:
    with contextlib.suppress(NotAuthenticated):
        return "".join(_parts(cookies, read, has_tls))
    return ""


def _parts(cookies: Cookies, read: _TokenCookies, has_tls: bool) -> Iterator[str]:
    secure = _is_secure(cookies, has_tls)
    for name in (cookie_name(part, read.path, secure) for part in read.names):
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
