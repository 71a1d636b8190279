"""Reads the claims of tokens without verifying them: to select who verifies a token, and to explain a refusal."""

import base64
import json
from collections.abc import Mapping
from typing import Any


def unverified_claims(token: str) -> Mapping[str, Any] | None:
    """Return the claims of a token that has the form of a JWT, without verifying it; None for any other text."""
    segments = token.split(".")
    if len(segments) != 3:
        return None
    header, claims = (_decode_segment(segment) for segment in segments[:2])
    return claims if header is not None else None


def _decode_segment(segment: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
