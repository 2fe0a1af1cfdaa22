"""The page is one file: well-formed, without a network, and honest about what is missing."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from alphazero.cli import main
from alphazero.report.run_folder import read_run_folder
from alphazero.report.run_page import render_page

from .made_up_run import write_made_up_run

VOID = frozenset({"meta", "img", "source", "br", "link"})


class Page(HTMLParser):
    """Collects what the tests ask for, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.alternatives: list[str | None] = []
        self.tags: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.alternatives.append(values.get("alt"))
        self.links += [value for name, value in attrs if name in ("href", "src", "srcset") and value]
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made_up_run(tmp_path_factory.mktemp("runs") / "run", rows=8)


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return render_page(read_run_folder(folder, folder / "train.log"))


def test_the_page_is_well_formed_and_needs_nothing_outside_itself(text: str) -> None:
    page = Page(text)
    for link in page.links:
        assert link.startswith(("#", "data:image/svg+xml;base64,")), link[:60]
    assert not {"script", "link", "iframe"} & page.tags
    assert "@import" not in text and "url(" not in text
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))
    assert len(page.ids) == len(set(page.ids))


def test_every_picture_says_in_words_what_it_shows(text: str) -> None:
    alternatives = Page(text).alternatives
    assert len(alternatives) == 7
    assert all(alternative and len(alternative) > 20 for alternative in alternatives)
    assert "policy error from 46.2 % to 13." in text


def test_texts_from_outside_are_escaped(text: str) -> None:
    assert "<b>made up</b>" not in text and "&lt;b&gt;made up&lt;/b&gt;" in text
    assert "Made-up CPU &lt;with angle brackets&gt;" in text


def test_what_was_not_measured_says_so_instead_of_zero(text: str) -> None:
    assert '<dt>GPU utilization</dt><dd class="absent">not measured</dd>' in text
    assert "share of ceiling" not in text  # which no run measures


def test_a_run_with_nothing_but_a_configuration_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[run]\ngame = "tic_tac_toe"\n', encoding="utf-8")
    text = render_page(read_run_folder(tmp_path))
    page = Page(text)
    assert "Tic Tac Toe" in text
    assert page.alternatives == []
    assert text.count('<p class="absent">Not measured.</p>') == 6


def test_the_page_says_what_of_the_training_is_not_healthy(tmp_path: Path) -> None:
    folder = write_made_up_run(tmp_path / "run", rows=2)
    (folder / "health.json").write_text('{"draw_rate": 0.99, "policy_entropy": 1.2}', encoding="utf-8")
    text = render_page(read_run_folder(folder))
    assert "draws is 99.0 % (healthy: at most 90.0 %)" in text
    assert "policy entropy is" not in text


def test_the_command_writes_page_tables_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_made_up_run(tmp_path / "run", rows=2)
    (folder / "metrics.csv").unlink()  # a page without its pictures is drawn faster
    (folder / "evaluation" / "learning_curve_sets.csv").unlink()
    log = tmp_path / "elsewhere.log"
    log.write_text("the log of the workflow\n", encoding="utf-8")
    out, parts = tmp_path / "new" / "page.html", tmp_path / "parts"
    status = main(["report", str(folder), "--out", str(out), "--parts", str(parts), "--log", str(log)])
    assert status == 0
    assert "the log of the workflow" in out.read_text(encoding="utf-8")
    assert {path.name for path in parts.iterdir()} >= {"solved_positions.csv", "matches.md", "mean_error.svg"}
    assert f"wrote {out}" in capsys.readouterr().out


def test_wrong_folders_are_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "give the folder of a training run" in line


def test_a_page_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text("", encoding="utf-8")
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "file" / "page.html")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--out" in line


@pytest.mark.parametrize(
    ("training", "run", "said"),
    [
        (
            "final_minutes = 2.5",
            "",
            "3 blocks of 32 filters, the agent: 4 blocks of 32 filters with position biases",
        ),
        ("final_minutes = 0.0", "", "3 blocks of 32 filters ·"),
        ("final_minutes = 2.5", "single_process = true", "3 blocks of 32 filters ·"),
        ("grow_after = 0.5", "", "3 blocks of 32 filters, later 3 blocks of 64 filters ·"),
        (
            "grow_after = 0.5\nfinal_minutes = 2.5",
            "",
            "later 3 blocks of 64 filters, the agent: 4 blocks of 64 filters with position biases",
        ),
    ],
)
def test_the_headline_names_the_network_that_is_the_agent(
    tmp_path: Path, training: str, run: str, said: str
) -> None:
    (tmp_path / "config.toml").write_text(
        f"[network]\nblocks = 3\nfilters = 32\n[search]\nsimulations = 800\n[training]\n{training}\n"
        "[grown_network]\nblocks = 2\nfilters = 64\n"
        f"[final_network]\nblocks = 4\nfilters = 16\nposition_bias = true\n[run]\n{run}\n",
        encoding="utf-8",
    )
    assert said in render_page(read_run_folder(tmp_path))
