"""What torch was built for, against what driver and GPU can do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from alphazero.hardware.torch_build import gpu_problem_of_build, torch_build


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", ("2.13.0+cpu", None)),
        ("__version__ = '2.9.0'\ncuda: Optional[str] = '12.8'\n", ("2.9.0", "12.8")),
        ('__version__ = "2.7.0"\ncuda = "11.8"\n', ("2.7.0", "11.8")),
        ("", (None, None)),
    ],
)
def test_build_is_read_from_the_version_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, build: tuple[str | None, str | None]
) -> None:
    (tmp_path / "version.py").write_text(text)
    specification = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: specification)
    assert torch_build() == build


def test_torch_that_is_not_installed_has_no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert torch_build() == (None, None)


@pytest.mark.parametrize(
    ("torch_version", "built_for", "driver", "capability", "words"),
    [
        ("2.9.0", "12.8", "12.4", "9.0", None),  # within one major version the driver serves newer builds
        ("2.9.0", "12.6", "13.0", "7.0", None),
        ("2.9.0", "13.0", "13.0", "9.0", None),
        (None, None, "12.8", "9.0", "torch is not installed"),
        ("2.9.0+cpu", None, "12.8", "9.0", "torch 2.9.0+cpu was built without CUDA"),
        ("2.9.0", "12.8", "11.4", "8.0", "the driver serves CUDA 11.4 at most"),
        ("2.13.0", "13.0", "13.0", "7.0", "needs compute capability 7.5, and the GPU has 7.0"),
        ("2.9.0", "12.6", "12.8", "5.0", None),
        ("2.9.0", "12.6", "12.8", "3.7", "the GPU has compute capability 3.7, and torch needs 5.0"),
        ("2.9.0", "13.0", "13.0", "3.7", "torch needs 5.0; there is no torch to install for it"),
        ("2.9.0+cpu", None, "12.8", "3.7", "there is no torch to install for it"),
        ("2.9.0", "12.8", None, None, None),  # what is not known is not held against it
    ],
)
def test_problem_of_a_build(
    torch_version: str | None, built_for: str | None, driver: str | None, capability: str | None, words: str
) -> None:
    problem = gpu_problem_of_build(torch_version, built_for, driver, capability)
    assert (problem is None) if words is None else (problem is not None and words in problem)
