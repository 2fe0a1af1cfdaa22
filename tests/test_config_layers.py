"""What is wrong in a TOML file or a `--set` is refused, naming the place and the nearest valid name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphazero.config import Config, SearchConfig
from alphazero.config_layers import config_from_layer, field_types, layer_from_overrides, layer_from_toml
from alphazero.errors import UserError


def toml(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_gives_its_settings_without_title_and_description(tmp_path: Path) -> None:
    path = toml(
        tmp_path,
        'title = "T"\ndescription = "D"\n[inference]\nbatch_size = 64\nbatch_timeout_ms = 2\n'
        "[search]\ntree_reuse = false\n",
    )
    layer = layer_from_toml(path)
    assert layer == {
        "inference.batch_size": 64,
        "inference.batch_timeout_ms": 2.0,
        "search.tree_reuse": False,
    }
    assert type(layer["inference.batch_timeout_ms"]) is float


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[inference]\nbatch_sze = 64\n",
            "unknown key 'batch_sze' in [inference]; did you mean 'inference.batch_size'?",
        ),
        (
            "[selfplay]\nbatch_size = 64\n",
            "unknown key 'batch_size' in [selfplay]; "
            "did you mean 'inference.batch_size' or 'training.batch_size'?",
        ),
        (
            "[run]\nxyzzy = 1\n",
            "unknown key 'xyzzy' in [run] ([run] has: game, seed, single_process, log_every_seconds)",
        ),
        (
            "[infrence]\nbatch_size = 64\n",
            "unknown table or key 'infrence'; did you mean 'inference'? (tables: ",
        ),
        ("tittle = 'T'\n", "unknown table or key 'tittle'; did you mean 'title'?"),
        ("inference = 3\n", "'inference' is a table of settings; write it as [inference]"),
        ("[selfplay]\nactors = '4'\n", "selfplay.actors is '4', but must be a whole number"),
        ("[selfplay]\nactors = 4.0\n", "selfplay.actors is 4.0, but must be a whole number"),
        ("[selfplay]\nactors = true\n", "selfplay.actors is True, but must be a whole number"),
        ("[selfplay]\nactors = [4]\n", "selfplay.actors is [4], but must be a whole number"),
        ("[search]\ntree_reuse = 1\n", "search.tree_reuse is 1, but must be true or false"),
        ("[search]\nc_puct_init = 'x'\n", "search.c_puct_init is 'x', but must be a number"),
        ("[search]\nmcts_backend = 1\n", "search.mcts_backend is 1, but must be a text"),
        ("[selfplay]\nactors = -1\n", "selfplay.actors is -1, but must be between 1 and 1024"),
        ("[selfplay\nactors = 4\n", "not valid TOML: "),
        (f"[selfplay]\nactors = {'9' * 5000}\n", "not valid TOML: "),
        (f"[selfplay]\nactors = {'[' * 5000}\n", "not valid TOML: "),
        (f"[training]\nlearning_rate = 1{'0' * 400}\n", "training.learning_rate is '1000"),
        ('"two\\nlines" = 1\n', r"unknown table or key 'two\nlines'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(UserError) as refused:
        layer_from_toml(path)
    assert str(refused.value).startswith(f"{path}: {words}")
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.toml: cannot be read \("):
        layer_from_toml(tmp_path / "none.toml")
    with pytest.raises(UserError, match=r"cannot be read \("):
        layer_from_toml(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary.toml: not valid TOML"):
        layer_from_toml(binary)


def test_texts_become_values_of_the_fields_type() -> None:
    overrides = [
        "selfplay.actors=3",
        "search.tree_reuse=False",
        "search.native_rules = true",
        "training.learning_rate=1e-3",
        "training.max_minutes=2",
        "search.mcts_backend=python",
        "selfplay.actors=5",
    ]
    assert layer_from_overrides(overrides) == {
        "selfplay.actors": 5,  # the last of two wins
        "search.tree_reuse": False,
        "search.native_rules": True,
        "training.learning_rate": 0.001,
        "training.max_minutes": 2.0,
        "search.mcts_backend": "python",
    }


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("actors", "'actors' is no setting; write --set section.field=value"),
        ("=3", "'=3' is no setting"),
        ("actors=2", "unknown setting 'actors'; did you mean 'selfplay.actors'?"),
        ("selfplay.actor=2", "unknown setting 'selfplay.actor'; did you mean 'selfplay.actors'?"),
        (
            "infrence.batch_size=2",
            "unknown setting 'infrence.batch_size'; did you mean 'inference.batch_size'",
        ),
        ("qqq.zzz=1", "unknown setting 'qqq.zzz' (sections: network, grown_network, final_network, search, "),
        ("selfplay.actors=two", "selfplay.actors is 'two', but must be a whole number"),
        ("selfplay.actors=", "selfplay.actors is '', but must be a whole number"),
        ("selfplay.actors=2.5", "selfplay.actors is '2.5', but must be a whole number"),
        ("search.tree_reuse=yes", "search.tree_reuse is 'yes', but must be true or false"),
        ("training.learning_rate=fast", "training.learning_rate is 'fast', but must be a number"),
        ("training.learning_rate=nan", "training.learning_rate is nan, but must be more than 0"),
        ("selfplay.actors=-1", "selfplay.actors is -1, but must be between 1 and 1024"),
    ],
)
def test_a_wrong_override_is_refused(override: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        layer_from_overrides([override])
    assert str(refused.value).startswith(f"command line: {words}")


@given(st.text() | st.builds("{}={}".format, st.sampled_from(sorted(field_types())), st.text()))
def test_any_text_is_a_setting_or_refused_in_one_line(override: str) -> None:
    try:
        layer_from_overrides([override])
    except UserError as refused:
        assert len(str(refused).splitlines()) == 1


def test_a_layer_is_put_over_the_defaults() -> None:
    config = config_from_layer({"search.simulations": 100, "hardware_profile": "low"})
    assert config == Config(hardware_profile="low", search=SearchConfig(simulations=100))
