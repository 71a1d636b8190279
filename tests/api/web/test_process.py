"""The page as the real command serves it: signing in at an issuer in another process, and nothing of it in the log."""

from pathlib import Path

import pytest
import requests

from tests.api.auth.oidc_server import MADE, OidcServer
from tests.api.served import serving
from tests.api.web.site import Visitor, oidc_settings


def test_people_sign_in_and_the_log_tells_who_but_no_secret(tmp_path: Path, oidc: OidcServer) -> None:
    with serving(tmp_path, **oidc_settings(oidc)) as served, requests.Session() as cookies:
        visitor = Visitor(f"http://127.0.0.1:{served.port}", cookies)
        oidc.codes.redirects.add(f"{visitor.url}/api/session/callback")
        page = visitor.open("/jobs/job-1")
        assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-cache")
        assert visitor.sign_in("/jobs/job-1").headers["Location"] == "/jobs/job-1"
        assert visitor.session()["user"]["username"] == "ann"
        assert visitor.graphql().json() == {"data": {"phJobs": []}}
        (state,) = [query["state"] for query in oidc.codes.asked]
        oidc.codes.denies = "access_denied"
        assert visitor.sign_in().status_code == 401
        assert visitor.open("/api/session/callback?code=hostile-code&state=x").status_code == 401
    assert "signed in user=ann" in served.said
    assert "sign-in refused by the issuer error=access_denied" in served.said
    assert "Traceback" not in served.said
    secrets = [*MADE, *(part for made in MADE for part in made.split(".") if len(part) > 8), state, "hostile-code"]
    assert [secret for secret in secrets if secret in served.said] == []


@pytest.mark.parametrize("lacking", ["PHJOB_API_OIDC_CLIENT_ID", "PHJOB_API_ORIGIN"])
def test_what_people_lack_to_sign_in_is_told_at_the_start(tmp_path: Path, oidc: OidcServer, lacking: str) -> None:
    with serving(tmp_path, **oidc_settings(oidc, **{lacking: ""})) as served:
        pass
    assert f"nobody can sign in at the issuer, the page takes tokens not_set={lacking}" in served.said
