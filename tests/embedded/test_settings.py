"""Settings come from the environment: all valid, or every problem is named."""

from pathlib import Path

import pytest

from infra.settings import Settings, SettingsError, derive, load_secret, role_url


def test_nothing_needs_to_be_set() -> None:
    assert Settings.from_environment({}) == Settings()


def test_an_empty_value_counts_as_unset() -> None:
    assert Settings.from_environment({"COMFYPLUS_PORT": " "}).port == Settings().port


def test_every_problem_is_named_at_once() -> None:
    wrong = {
        "COMFYPLUS_PORT": "many",
        "COMFYPLUS_LEASE_S": "3",
        "COMFYPLUS_BEAT_S": "2",
        "COMFYUI_URL": "somewhere",
        "COMFYPLUS_DATABSE_URL": "postgresql://x",
    }
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(wrong)
    for name in ("COMFYPLUS_PORT", "COMFYPLUS_BEAT_S", "COMFYUI_URL", "did you mean COMFYPLUS_DATABASE_URL"):
        assert name in str(refused.value)


def test_another_process_reads_the_same_settings() -> None:
    settings = Settings(data=Path("/some where"), comfyui_url="http://gpu:8188", lease_s=2.5, beat_s=0.5)
    assert Settings.from_environment(settings.to_environment()) == settings


def test_the_secret_is_made_once_and_for_us_only(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert load_secret(settings) == load_secret(settings)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert len(load_secret(settings)) >= 32


def test_keys_of_two_purposes_differ() -> None:
    assert derive(b"secret", "jwt") != derive(b"secret", "names")


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    assert "hidden" not in repr(Settings(secret="hidden" * 8))


def test_a_role_reaches_the_owners_database_with_its_own_password() -> None:
    url = role_url("postgresql://owner:own@db:5432/log?sslmode=require", b"secret", "comfyplus_app")
    assert url.startswith("postgresql://comfyplus_app:")
    assert url.endswith("@db:5432/log?sslmode=require")
    assert "own@" not in url
