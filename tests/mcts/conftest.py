"""Every test that asks for `backend` runs once for each tree backend that is built here."""

from __future__ import annotations

import pytest

from alphazero.mcts import available_backends


@pytest.fixture(params=available_backends())
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


COMPILED = [name for name in available_backends() if name != "python"]


@pytest.fixture(params=COMPILED or ["none built"])
def compiled_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "none built":
        pytest.skip("no compiled tree backend is built: run `make build`")
    return name


@pytest.fixture
def compiled_backends() -> list[str]:
    """All of them, for tests in which they share one run of the slow reference."""
    if not COMPILED:
        pytest.skip("no compiled tree backend is built: run `make build`")
    return COMPILED
