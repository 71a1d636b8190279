"""Values in log lines, which are `event key=value key=value`: what users choose may not forge a line or a key."""

import json

_MOST = 1024  # a key in the store is no longer


def value(of: object) -> str:
    """Its text as the value of a key: as it is where that is plain, else quoted, in ASCII, with everything escaped."""
    text = str(of)[:_MOST]
    plain = text and text.isprintable() and not set(text) & set(' "\\=')
    return text if plain else json.dumps(text)
