"""Error pages without scripts, for requests that a browser shows directly: what went wrong, and links to continue."""

from collections.abc import Sequence

import flask
from markupsafe import Markup

Link = tuple[str, str]

HOME: Link = ("/", "All jobs")

# Only the service's own files, and no inline script or style.
PAGE_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",  # so that a mistake in a script cannot turn text into markup
            "trusted-types 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_LINK = Markup('<a class="button{}" href="{}">{}</a>')
_PAGE = Markup("""\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{title} · Job artifacts</title>
    <link rel="icon" href="/static/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/static/style.css">
    <link rel="stylesheet" href="/static/components.css">
    <link rel="stylesheet" href="/static/views.css">
  </head>
  <body>
    <header class="top"><a class="product" href="/">Job artifacts</a></header>
    <main id="main" class="empty">
      <h1>{title}</h1>
      <p class="muted">{text}</p>
      <p>{links}</p>
    </main>
  </body>
</html>
""")


def error_page(status: int, title: str, text: str, links: Sequence[Link] = (HOME,)) -> flask.Response:
    """Return an error page.

    `text`: like an error message, without an initial capital and a full stop. `links`: URL and label; the first
    one is highlighted.
    """
    content = _PAGE.format(
        title=title,
        text=sentence(text),
        links=Markup(" ").join(_LINK.format("" if at else " primary", *link) for at, link in enumerate(links)),
    )
    response = flask.Response(content, status, content_type="text/html; charset=utf-8", headers=PAGE_HEADERS)
    response.headers["Cache-Control"] = "no-store"
    return response


def sentence(text: str) -> str:
    """Return an error message as a sentence, with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def accepts_html() -> bool:
    """Whether the current request comes from a browser that would show the response as a page."""
    return flask.request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
