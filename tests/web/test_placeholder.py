"""What stands in an empty field before anything is typed can be read."""

import pytest

from tests.web.conftest import Visit
from tests.web.site import Site

COLOURS = """(field) => {
    const shown = getComputedStyle(field, "::placeholder");
    const muted = document.body.appendChild(document.createElement("p"));
    muted.className = "muted";
    return [shown.color, shown.opacity, getComputedStyle(muted).color];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_placeholder_has_the_colour_of_muted_text(visit: Visit, site: Site, scheme: str) -> None:
    page = visit(site, color_scheme=scheme)
    colour, opacity, muted = page.get_by_label("Search").evaluate(COLOURS)
    assert (colour, opacity) == (muted, "1")
