"""What a configuration says of itself in words."""

import pytest

from alphazero.config import NetworkConfig, network_in_words


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (NetworkConfig(blocks=3, filters=32), "3 blocks of 32 filters"),
        (NetworkConfig(blocks=1, filters=16, line_planes=True), "1 block of 16 filters with line planes"),
        (
            NetworkConfig(blocks=0, filters=8, position_bias=True, line_planes=True),
            "0 blocks of 8 filters with position biases and line planes",
        ),
        (
            NetworkConfig(blocks=1, filters=8, ownership_head=True),
            "1 block of 8 filters",
        ),  # in training alone
    ],
)
def test_a_network_in_words(network: NetworkConfig, words: str) -> None:
    assert network.in_words() == words
    assert network_in_words(vars(network)) == words


def test_a_network_from_before_a_setting_has_its_default_and_what_is_unknown_is_passed_over() -> None:
    assert network_in_words({"blocks": 2, "filters": 24, "from_the_future": 1}) == "2 blocks of 24 filters"
