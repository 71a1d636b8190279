"""Chooses the format of metrics for a scraper."""

from collections.abc import Callable
from typing import TypeVar

_MAX_ACCEPT_LENGTH = 1000  # prometheus_client repeats the version that the header asks for in the content type

Registry = TypeVar("Registry")


def expose(
    registry: Registry, accept: str, choose_encoder: Callable[[str], tuple[Callable[[Registry], bytes], str]]
) -> tuple[bytes, str]:
    """Return the metrics in the format that the header `Accept` asks for, and their content type.

    `choose_encoder` is that of prometheus_client, which this package must not import. It raises TypeError if the
    version is not a number, as in "application/openmetrics-text;version=x".
    """
    if len(accept) > _MAX_ACCEPT_LENGTH or not accept.isprintable():
        accept = ""
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:
        encode, content_type = choose_encoder("")
    return encode(registry), content_type
