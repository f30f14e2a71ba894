"""The configuration for a server of one's own: the server accepts it, and nothing in it is left to chance."""

import subprocess
import sys
from pathlib import Path

import pytest

from adapters.nats.nkey import ACCOUNT, Issuer, claims, spelled
from infra.embedded.nats import prepare_nats
from infra.nats_users import configuration
from infra.settings import Settings

SECRET = "a secret that only tests know, long enough"


def test_a_server_accepts_it(tmp_path: Path) -> None:
    path = tmp_path / "nats.conf"
    text = configuration(Settings(secret=SECRET), "127.0.0.1", 4222, tmp_path / "store", ["gpu-1", "gpu-2"])
    path.write_text(text)
    binary = Path(sys.prefix) / "bin" / "nats-server"
    subprocess.run([binary, "-t", "-c", path], check=True, capture_output=True, timeout=20)
    assert text == configuration(
        Settings(secret=SECRET), "127.0.0.1", 4222, tmp_path / "store", ["gpu-1", "gpu-2"]
    )
    other = configuration(Settings(secret="b" * 40), "127.0.0.1", 4222, tmp_path / "store", ["gpu-1"])
    assert {line for line in text.splitlines() if "password" in line}.isdisjoint(
        line for line in other.splitlines() if "password" in line
    )


@pytest.mark.parametrize("name", ["app", "feed", "auth", "sys", "gpu 1", "", 'x"', "a.b", "*"])
def test_an_executor_cannot_take_the_name_of_one_of_ours_nor_more_than_a_token(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match="name"):
        configuration(Settings(secret=SECRET), "127.0.0.1", 4222, tmp_path, [name])


def test_the_monitor_is_for_this_machine_only_wherever_the_server_listens(tmp_path: Path) -> None:
    prepared = prepare_nats(tmp_path, tmp_path / "log", app_password="x", executors={}, host="0.0.0.0")
    config = (tmp_path / "nats" / "nats.conf").read_text()
    assert 'listen: "0.0.0.0:' in config
    assert 'http: "127.0.0.1:' in config
    assert "127.0.0.1" in prepared.url


def test_a_key_is_spelled_as_nats_spells_it() -> None:
    """Known: an account key from the documentation of nkeys is 56 characters, begins with A, ends in its checksum."""
    issuer = Issuer(bytes(range(32)))
    assert len(issuer.public) == 56
    assert issuer.public[0] == "A"
    assert spelled(ACCOUNT, bytes(32)) == "A" * 53 + spelled(ACCOUNT, bytes(32))[53:]
    token = issuer.sign(subject="U", audience="INTEG", issued_at=1, nats={"type": "user"}, exp=2)
    assert claims(token)["iss"] == issuer.public
    with pytest.raises(ValueError, match="JWT"):
        claims("x.y")
