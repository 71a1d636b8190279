"""The stores that the setting accepts, and the errors of `open_store`."""

import pytest

from api.settings import ApiSettings
from api.store.bucket import BucketStore
from api.store.factory import open_store
from api.store.posix import PosixStore
from artifacts.errors import ConfigError


@pytest.mark.parametrize("url", ["/", "/phfs", "/a b/c?d#e"])
def test_a_path_opens_a_directory(url: str) -> None:
    assert isinstance(open_store(url), PosixStore)


@pytest.mark.parametrize("url", ["s3://phfs", "s3://phfs/", "s3://phfs/a/b%20c", "gs://phfs/a", "az://phfs/a"])
def test_a_url_opens_a_bucket_without_a_request(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert isinstance(open_store(url), BucketStore)


@pytest.mark.parametrize(
    "url", ["http://x/y", "https://x/y", "abfs://x/y", "file:///phfs", "S3://phfs", "s3:phfs", "[", "phfs", ""]
)
def test_an_unknown_scheme_is_refused_with_the_accepted_ones(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    with pytest.raises(ConfigError, match=r"an absolute path, or s3://, gs:// or az://") as raised:
        open_store(url)
    assert repr(url) in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        *("s3://", "s3:///a", "s3://b/a//b", "s3://b/../a", "s3://b/%2e%2e/a", "s3://b?a", "s3://b#a"),
        *("s3://[", "s3://a]b/c", "gs://[::1", "az://user:secret@b", "s3://b:80", "s3://a b", "s3://\uff0e", "s3://-"),
    ],
)
def test_a_url_without_a_valid_bucket_and_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="such as s3://phfs/prefix"):
        open_store(url)
    with pytest.raises(ConfigError, match=r"PHJOB_API_STORE.*such as s3://phfs/prefix"):
        ApiSettings.from_env({"PHJOB_API_STORE": url, "PHJOB_API_AUTH": "none"})


def test_the_error_names_what_the_environment_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ConfigError, match=r"'az://phfs' cannot be used: .*[Aa]ccount"):
        open_store("az://phfs")
