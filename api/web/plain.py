"""Pages without a script, for what goes wrong outside of the page: what happened, and where to go from there."""

from collections.abc import Sequence

import flask
from markupsafe import Markup

from api.web.headers import PAGE

Link = tuple[str, str]

START: Link = ("/", "All jobs")
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


def plain_page(status: int, title: str, text: str, links: Sequence[Link] = (START,)) -> flask.Response:
    """The page. `text`: a sentence as errors have it, without capital and full stop. `links`: address and words; the
    first is what to do."""
    filled = _PAGE.format(
        title=title,
        text=sentence(text),
        links=Markup(" ").join(_LINK.format("" if at else " primary", *link) for at, link in enumerate(links)),
    )
    response = flask.Response(filled, status, content_type="text/html; charset=utf-8", headers=PAGE)
    response.headers["Cache-Control"] = "no-store"
    return response


def sentence(text: str) -> str:
    """An error's text as people read it."""
    return f"{text[:1].upper()}{text[1:]}."


def wants_page() -> bool:
    """Whether the request is a browser's that would show the answer as a page."""
    return flask.request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
