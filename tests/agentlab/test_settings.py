"""Settings: precedence, origins, secrets, and messages for what cannot be used."""

from pathlib import Path

import pytest

from agentlab.errors import SettingsError
from agentlab.resolving import load_settings
from agentlab.settings import SECRETS, Settings, masked

KEY = "sk-a-very-secret-key-1234"


def write(folder: Path, text: str) -> Path:
    path = folder / "agentlab.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults(tmp_path):
    file = write(tmp_path, 'web = "ddgs"\nmax_steps = 7\nalpha = 0.25\n')
    environ = {"AGENTLAB_WEB": "off", "AGENTLAB_MAX_STEPS": "9"}
    resolved = load_settings({"max_steps": 3, "model": None}, file=file, environ=environ)
    settings = resolved.settings
    assert (settings.web, settings.max_steps, settings.alpha) == ("off", 3, 0.25)
    assert resolved.origins["max_steps"] == "flag"
    assert resolved.origins["web"] == "AGENTLAB_WEB"
    assert resolved.origins["alpha"] == str(file)
    assert resolved.origins["model"] == "default"
    assert set(resolved.origins) == set(Settings.model_fields)


def test_the_usual_names_of_keys_are_read_and_our_own_names_win():
    environ = {"OPENAI_API_KEY": "plain", "SERPAPI_API_KEY": "s", "WEAVIATE_URL": "http://w:1"}
    resolved = load_settings(environ=environ | {"AGENTLAB_API_KEY": "ours"})
    assert resolved.settings.api_key == "ours"
    assert resolved.origins["api_key"] == "AGENTLAB_API_KEY"
    assert resolved.settings.openai_api_key == "plain"
    assert resolved.settings.serpapi_api_key == "s"
    assert resolved.settings.weaviate_url == "http://w:1"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (None, "openai"),
        ("https://api.openai.com/v1", "openai"),
        ("http://api.openai.com/v1", None),
        ("http://localhost:8000/v1", None),
        ("https://api.openai.com.example.org/v1", None),
    ],
)
def test_the_key_of_openai_goes_to_openai_alone(url, key):
    settings = Settings(base_url=url, openai_api_key="openai")
    assert settings.endpoint_key == key
    assert settings.embedder_endpoint == (url, key)
    assert Settings(base_url=url, openai_api_key="o", api_key="own").endpoint_key == "own"


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "nonsense", "http://", "http://host:99999", "ftp://host/v1"]
)
def test_what_is_no_address_is_refused_before_anything_is_opened(url):
    with pytest.raises(SettingsError, match="like http://localhost:8000/v1"):
        load_settings({"base_url": url}, environ={})


def test_the_binaries_of_weaviate_lie_beside_the_settings_file_or_at_home(tmp_path):
    file = write(tmp_path, 'weaviate_binaries = "weaviate"\n')
    assert load_settings(file=file, environ={}).settings.weaviate_binaries == tmp_path / "weaviate"
    home = load_settings(environ={"AGENTLAB_WEAVIATE_BINARIES": "~/weaviate"}).settings
    assert home.weaviate_binaries == Path.home() / "weaviate"


def test_the_user_in_an_address_is_masked():
    settings = Settings(base_url="https://me:word@host:8000/v1", weaviate_url="http://t@w:1")
    assert masked("base_url", settings.base_url) == "https://****@host:8000/v1"
    assert masked("weaviate_url", settings.weaviate_url) == "http://****@w:1"
    assert masked("embedder_url", "http://host/v1?to=a@b") == "http://host/v1?to=a@b"
    assert "me:word" not in repr(settings)


def test_alpha_is_a_number_or_left_to_the_collection():
    assert load_settings(environ={}).settings.alpha == "auto"
    assert load_settings(environ={"AGENTLAB_ALPHA": "0.25"}).settings.alpha == 0.25
    assert load_settings(environ={"AGENTLAB_ALPHA": "auto"}).settings.alpha == "auto"


def test_an_empty_variable_counts_as_not_set():
    resolved = load_settings(environ={"AGENTLAB_WEB": "", "SERPAPI_API_KEY": ""})
    assert resolved.settings.web == "auto"
    assert resolved.settings.serpapi_api_key is None


def test_the_file_of_the_working_folder_is_found(tmp_path, monkeypatch):
    file = write(tmp_path, 'collection = "notes"\n')
    monkeypatch.chdir(tmp_path)
    resolved = load_settings(environ={})
    assert resolved.settings.collection == "notes"
    assert resolved.file == file


def test_paths_of_the_file_are_relative_to_it(tmp_path, monkeypatch):
    file = write(tmp_path, 'home = "data"\n')
    monkeypatch.chdir("/")
    assert load_settings(file=file, environ={}).settings.home == tmp_path / "data"


def test_secrets_show_in_no_repr():
    settings = Settings(**dict.fromkeys(SECRETS, KEY))
    assert KEY not in repr(settings)
    assert KEY not in str(settings)
    assert settings.api_key == KEY


def test_a_short_secret_is_hidden_whole_and_a_long_one_but_for_its_end():
    assert masked("api_key", "short") == "****"
    assert masked("api_key", KEY) == "****1234"
    assert masked("model", "starter") == "starter"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"weib": 1}, "Did you mean 'web'?"),
        ({"web": "googel"}, "web = 'googel' (from flag)"),
        ({"max_steps": 0}, "greater than 0"),
        ({"alpha": 1.5}, "less than or equal to 1"),
        ({"alpha": "meaning"}, "alpha = 'meaning' (from flag)"),
        ({"store": "weaviate"}, "WEAVIATE_URL"),
        ({"weaviate_tenant": "north"}, 'needs store = "weaviate"'),
        ({"weaviate_tenant": "a/b"}, "weaviate_tenant"),
        ({"weaviate_grpc": "http://db"}, "weaviate_grpc"),
        ({"web": "recorded"}, "the file of recorded results"),
    ],
)
def test_an_unusable_setting_is_named_with_its_value_and_a_way_out(overrides, says):
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides, environ={})
    assert says in str(caught.value)


def test_an_unusable_secret_is_not_repeated_in_the_message():
    with pytest.raises(SettingsError) as caught:
        load_settings({"timeout_s": "soon", "api_key": KEY}, environ={})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"), [("web = off\n", "not valid TOML"), ("tempo = 1\n", "no setting 'tempo'")]
)
def test_a_faulty_file_is_named(tmp_path, text, says):
    file = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(file=file, environ={})
    assert says in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    file = write(tmp_path, "\ufeffmax_steps = 7\n")
    assert load_settings(file=file, environ={}).settings.max_steps == 7


@pytest.mark.parametrize("text", ["", 'home = "~/agentlab"\n'])
def test_where_no_home_directory_is_known_the_message_names_what_to_set(
    tmp_path, monkeypatch, text
):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)  # in no list of users
    file = write(tmp_path, text)
    with pytest.raises(SettingsError, match="AGENTLAB_HOME, AGENTLAB_CACHE"):
        load_settings(file=file, environ={})
    named = {"AGENTLAB_HOME": str(tmp_path / "home"), "AGENTLAB_CACHE": str(tmp_path / "cache")}
    assert load_settings(file=file, environ=named).settings.home == tmp_path / "home"


def test_a_named_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(environ={"AGENTLAB_CONFIG": str(tmp_path / "none.toml")})


def test_variables_that_are_no_setting_are_reported():
    resolved = load_settings(environ={"AGENTLAB_MODLE": "x", "AGENTLAB_MODEL": "y"})
    assert resolved.unknown_variables == ("AGENTLAB_MODLE",)
