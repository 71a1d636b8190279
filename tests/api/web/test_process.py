"""The page served by the real command: sign-in at an issuer in another process, and no secrets in the log."""

from pathlib import Path

import pytest
import requests

from tests.api.auth.oidc_server import MADE, OidcServer
from tests.api.served import serving
from tests.api.web.site import Visitor, oidc_settings


def test_sign_in_logs_the_user_but_no_secret(tmp_path: Path, oidc: OidcServer) -> None:
    with serving(tmp_path, **oidc_settings(oidc)) as served, requests.Session() as cookies:
        visitor = Visitor(f"http://127.0.0.1:{served.port}", cookies)
        oidc.codes.redirects.add(f"{visitor.url}/api/session/callback")
        page = visitor.open("/jobs/job-1")
        assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-cache")
        assert visitor.sign_in("/jobs/job-1").headers["Location"] == "/jobs/job-1"
        assert visitor.session()["user"]["username"] == "ann"
        assert visitor.graphql().json() == {"data": {"phJobs": []}}
        (state,) = [query["state"] for query in oidc.codes.authorization_requests]
        oidc.codes.denies = "access_denied"
        assert visitor.sign_in().status_code == 401
        assert visitor.open("/api/session/callback?code=hostile-code&state=x").status_code == 401
    assert "signed in user=ann" in served.log
    assert "sign-in refused by the issuer error=access_denied" in served.log
    assert "Traceback" not in served.log
    secrets = [*MADE, *(part for made in MADE for part in made.split(".") if len(part) > 8), state, "hostile-code"]
    assert [secret for secret in secrets if secret in served.log] == []


@pytest.mark.parametrize("missing", ["PHJOB_API_OIDC_CLIENT_ID", "PHJOB_API_ORIGIN"])
def test_settings_missing_for_sign_in_are_logged_at_start(tmp_path: Path, oidc: OidcServer, missing: str) -> None:
    with serving(tmp_path, **oidc_settings(oidc, **{missing: ""})) as served:
        pass
    assert f"sign-in at the issuer disabled missing_setting={missing}" in served.log
