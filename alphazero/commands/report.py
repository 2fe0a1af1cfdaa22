"""`alphazero report RESULTS_FOLDER`: the page of a training run, from the files that the run left."""

from __future__ import annotations

import argparse
from pathlib import Path

from alphazero.folders import write_text, writing_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RESULTS_FOLDER", help="folder of a training run")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.html",
        help="where to write the page (default: report.html in that folder)",
    )
    parser.add_argument(
        "--parts",
        type=Path,
        metavar="FOLDER",
        help="also write its tables (CSV, Markdown) and pictures (SVG)",
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="log whose end the page shows (default: none)",
    )


def run(arguments: argparse.Namespace) -> int:
    from alphazero.report.run_folder import read_run_folder
    from alphazero.report.run_page import render_page, write_parts

    data = read_run_folder(arguments.run_folder, arguments.log)
    out: Path = arguments.out or arguments.run_folder / "report.html"
    write_text(out, render_page(data), "choose another --out")
    if arguments.parts is not None:
        with writing_results(arguments.parts, "choose another folder with --parts"):
            write_parts(data, arguments.parts)
    for problem in data.problems:
        print(f"warning: {problem}")
    print(f"wrote {out}")
    return 0
