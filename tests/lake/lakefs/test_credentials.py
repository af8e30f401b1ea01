"""Keys go only to the endpoint that stands beside them, and every complaint names its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprolock.errors import ReprolockError, ServiceError, UsageError
from reprolock.lake.lakefs.credentials import Credentials, find_credentials, normalise, secrets_in_use

HERE, THERE = "http://127.0.0.1:8000", "https://lakefs.example.com"
ENVIRON = {
    "LAKECTL_SERVER_ENDPOINT_URL": HERE,
    "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": "the-id-of-here",
    "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": "the-secret-of-here",
}
SET_ALL = (
    "set LAKECTL_SERVER_ENDPOINT_URL, LAKECTL_CREDENTIALS_ACCESS_KEY_ID and "
    "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY, or write all three to ~/.lakectl.yaml with `lakectl config`"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder without a .lakectl.yaml."""
    return tmp_path


def write(home: Path, endpoint: str = THERE, name: str = ".lakectl.yaml") -> Path:
    """The file as `lakectl config` writes it, with keys of its own."""
    file = home / name
    file.write_text(
        "credentials:\n  access_key_id: the-id-of-there\n  secret_access_key: the-secret-of-there\n"
        f"server:\n  endpoint_url: {endpoint}\n"
    )
    return file


def complaint(endpoint: str | None, environ: dict[str, str], home: Path) -> ReprolockError:
    with pytest.raises(ReprolockError) as caught:
        find_credentials(endpoint, environ, home)
    return caught.value


def test_the_environment_alone(home: Path) -> None:
    assert find_credentials(None, ENVIRON, home) == Credentials(HERE, "the-id-of-here", "the-secret-of-here")


def test_the_file_alone(home: Path) -> None:
    write(home)
    expected = Credentials(THERE, "the-id-of-there", "the-secret-of-there", source="~/.lakectl.yaml")
    assert find_credentials(None, {}, home) == expected


def test_the_file_that_a_variable_names(home: Path) -> None:
    file = write(home, name="other.yaml")
    assert find_credentials(None, {"LAKECTL_CONFIG_FILE": str(file)}, home).source == "~/other.yaml"


def test_the_environment_comes_before_the_file(home: Path) -> None:
    write(home)
    assert find_credentials(None, ENVIRON, home).access_key_id == "the-id-of-here"


def test_each_endpoint_gets_the_keys_that_stand_beside_it(home: Path) -> None:
    write(home)
    assert find_credentials(THERE, ENVIRON, home).access_key_id == "the-id-of-there"
    assert find_credentials(HERE, ENVIRON, home).access_key_id == "the-id-of-here"


def test_a_session_token_goes_before_keys(home: Path) -> None:
    environ = {"LAKECTL_SERVER_ENDPOINT_URL": HERE, "LAKECTL_CREDENTIALS_SESSION_TOKEN": "a-session-token"}
    found = find_credentials(None, environ, home)
    assert (found.session_token, found.credentials_place) == ("a-session-token", "LAKECTL_CREDENTIALS_SESSION_TOKEN")


def test_another_endpoint_gets_no_keys(home: Path) -> None:
    write(home)
    error = complaint("https://evil.example.com", ENVIRON, home)
    assert isinstance(error, UsageError)
    assert error.message == (
        "no credentials may be sent to the lakeFS at https://evil.example.com that repro.toml names: "
        "those of LAKECTL_CREDENTIALS_ACCESS_KEY_ID belong to http://127.0.0.1:8000 "
        "and those of ~/.lakectl.yaml belong to https://lakefs.example.com"
    )
    assert error.hint == f"if you trust https://evil.example.com, {SET_ALL}"


def test_an_endpoint_in_the_environment_does_not_get_the_keys_of_the_file(home: Path) -> None:
    write(home)
    error = complaint(None, {"LAKECTL_SERVER_ENDPOINT_URL": HERE}, home)
    assert (error.exit_code, error.message) == (
        2,
        "no credentials may be sent to the lakeFS at http://127.0.0.1:8000 that LAKECTL_SERVER_ENDPOINT_URL names: "
        "those of ~/.lakectl.yaml belong to https://lakefs.example.com",
    )


def test_an_endpoint_in_the_environment_that_is_the_file_s(home: Path) -> None:
    write(home)
    environ = {"LAKECTL_SERVER_ENDPOINT_URL": "https://LakeFS.example.com:443/api/v1/"}
    assert find_credentials(None, environ, home).access_key_id == "the-id-of-there"


def test_keys_without_an_endpoint_go_nowhere(home: Path) -> None:
    write(home)
    environ = {name: value for name, value in ENVIRON.items() if "ENDPOINT" not in name}
    error = complaint(None, environ, home)
    assert (error.exit_code, error.message, error.hint) == (
        2,
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID is set, LAKECTL_SERVER_ENDPOINT_URL is not: "
        "credentials are sent only to the endpoint set with them",
        "set LAKECTL_SERVER_ENDPOINT_URL too",
    )


def test_half_a_pair_of_keys(home: Path) -> None:
    environ = ENVIRON | {"LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": ""}
    error = complaint(None, environ, home)
    assert (error.exit_code, error.message) == (
        2,
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID is set, LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY is not",
    )


def test_no_keys_at_all(home: Path) -> None:
    error = complaint(HERE, {}, home)
    assert isinstance(error, ServiceError)
    assert (error.exit_code, error.message, error.hint) == (
        5,
        "no credentials are known for the lakeFS at http://127.0.0.1:8000 (repro.toml)",
        SET_ALL,
    )


def test_an_endpoint_in_the_file_without_keys(home: Path) -> None:
    (home / ".lakectl.yaml").write_text(f"server:\n  endpoint_url: {THERE}\n")
    error = complaint(None, {}, home)
    assert error.message == "no credentials are known for the lakeFS at https://lakefs.example.com (~/.lakectl.yaml)"


def test_nothing_names_a_lake(home: Path) -> None:
    error = complaint(None, {}, home)
    assert (error.exit_code, error.message, error.hint) == (
        2,
        "no lake is named: repro.toml has no lake.endpoint, and lakectl has none either",
        f'write `endpoint = "file:lake"` under [lake] for an embedded lake, or {SET_ALL}',
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"server:\n  endpoint_url: x\n credentials: [\n", "~/.lakectl.yaml:3 is not valid YAML"),
        (b"credentials:\n  secret_access_key: @key\n", "~/.lakectl.yaml:2 is not valid YAML"),
        (b"key: !!python/object:os.system x\n", "~/.lakectl.yaml:1 is not valid YAML"),
        (b"- a list\n", "~/.lakectl.yaml:1 is not a mapping of settings"),
        (b"\xff\xfe\x00", "~/.lakectl.yaml is not UTF-8 text"),
    ],
)
def test_a_broken_file(home: Path, text: bytes, message: str) -> None:
    (home / ".lakectl.yaml").write_bytes(text)
    error = complaint(None, {}, home)
    assert (error.exit_code, error.message, error.hint) == (2, message, "write a new one with `lakectl config`")
    assert error.__cause__ is None, "the cause would quote the file, which holds keys"


def test_an_empty_file_says_nothing(home: Path) -> None:
    (home / ".lakectl.yaml").touch()
    assert complaint(None, {}, home).message.startswith("no lake is named")


def test_a_variable_that_names_no_file(home: Path) -> None:
    error = complaint(None, {"LAKECTL_CONFIG_FILE": str(home / "gone.yaml")}, home)
    assert error.message == "LAKECTL_CONFIG_FILE names ~/gone.yaml, which does not exist"


@pytest.mark.parametrize(
    "spelling",
    [
        "https://lakefs.example.com",
        "HTTPS://LakeFS.Example.com/",
        "https://lakefs.example.com:443/api/v1",
        "https://lakefs.example.com/api/v1/",
        " https://lakefs.example.com ",
    ],
)
def test_one_server_in_many_spellings(spelling: str) -> None:
    assert normalise(spelling, "repro.toml") == "https://lakefs.example.com"


@pytest.mark.parametrize(
    "other",
    [
        "http://lakefs.example.com",
        "https://lakefs.example.com:8443",
        "https://lakefs.example.com.evil.org",
        "https://lakefs.example.com/lake",
    ],
)
def test_what_is_not_that_server(other: str) -> None:
    assert normalise(other, "repro.toml") != "https://lakefs.example.com"


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert normalise("http://[::1]:8000/", "repro.toml") == "http://[::1]:8000"


@pytest.mark.parametrize("endpoint", ["localhost:8000", "ftp://host", "https://", "http://host:x", "http://h/?a=b"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(UsageError) as caught:
        normalise(endpoint, "repro.toml")
    assert caught.value.message == f'the endpoint in repro.toml is not an http:// or https:// address: "{endpoint}"'


@pytest.mark.parametrize(
    "endpoint", ["https://me:a-password@lakefs.example.com", " https://me@lakefs.example.com", "me:key@host"]
)
def test_an_endpoint_that_carries_a_key_is_not_repeated(endpoint: str) -> None:
    with pytest.raises(UsageError) as caught:
        normalise(endpoint, "repro.toml")
    assert caught.value.message == "the endpoint in repro.toml contains a user name or password"


def test_credentials_never_show_their_keys() -> None:
    shown = repr(Credentials(HERE, "the-id-of-here", "the-secret-of-here", "the-token-of-here"))
    assert shown == "Credentials(endpoint='http://127.0.0.1:8000', source='environment')"


def test_secrets_in_use(home: Path) -> None:
    write(home)
    environ = ENVIRON | {
        "LAKECTL_CREDENTIALS_SESSION_TOKEN": "a-session-token",
        "AWS_SECRET_ACCESS_KEY": "an-aws-secret",
        "AWS_SESSION_TOKEN": "an-aws-token",
        "MLFLOW_TRACKING_PASSWORD": "an-mlflow-password",
        "MLFLOW_TRACKING_TOKEN": "an-mlflow-token",
        "HF_TOKEN": "a-token-of-another-kind",
        "HTTPS_PROXY": "http://me:pass%2Fword@proxy:3128",
        "SHORT_TOKEN": "1234567",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/google.json",
        "PATH": "/usr/bin:/usr/local/bin",
    }
    assert secrets_in_use(environ, home) == {
        "the-id-of-here",
        "the-secret-of-here",
        "the-id-of-there",
        "the-secret-of-there",
        "a-session-token",
        "an-aws-secret",
        "an-aws-token",
        "an-mlflow-password",
        "an-mlflow-token",
        "a-token-of-another-kind",
        "pass%2Fword",
        "pass/word",
    }


def test_secrets_in_use_pass_over_a_broken_file(home: Path) -> None:
    (home / ".lakectl.yaml").write_text("a: [")
    assert "the-secret-of-here" in secrets_in_use(ENVIRON, home)
