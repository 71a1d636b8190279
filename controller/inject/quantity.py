"""Kubernetes quantities, such as 100m, 1.5 or 32Mi. A separate module because settings and pods both contain them."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d{1,3}|[numkMGTPE]|[KMGTPE]i)?", re.ASCII)
_MAX_CHARACTERS = 64
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = "KMGTPE"


def parse_quantity(text: object) -> Decimal | None:
    """Return the value of a quantity, or None if the text is not one."""
    match = _QUANTITY.fullmatch(str(text)) if len(str(text)) <= _MAX_CHARACTERS else None
    if match is None:
        return None
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix.endswith("i"):
        return number * Decimal(1024) ** (_BINARY.index(suffix[0]) + 1)
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:] or 0))
