"""Where results come from, as a section of their page: machine, code, libraries, settings, command."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any


def provenance_section(
    hardware: Mapping[str, Any] | None,
    provenance: Mapping[str, Any] | None,
    config: Mapping[str, Any] | None = None,
    config_text: str | None = None,
) -> str:
    """Return the table of what was used, and the resolved configuration, folded away.

    Args:
        hardware, provenance: as in hardware.json and provenance.json; None: not recorded.
        config: the settings by section; None: not shown.
        config_text: the same as TOML.
    """
    rows = [
        (label, text)
        for label, text in _provenance_rows(hardware or {}, provenance or {}, config or {})
        if text
    ]
    table = '<p class="absent">Not recorded.</p>'
    if rows:
        cells = "".join(
            f'<tr><th scope="row">{html.escape(label)}</th><td>{html.escape(text)}</td></tr>'
            for label, text in rows
        )
        table = f'<div class="scroll" tabindex="0"><table class="text"><tbody>{cells}</tbody></table></div>'
    folded = ""
    if config_text:
        folded = (
            "<details><summary>Resolved configuration (config.toml)</summary>"
            f"<pre>{html.escape(config_text)}</pre></details>"
        )
    return table + folded


def _provenance_rows(
    hardware: Mapping[str, Any], provenance: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    yield "machine", text_of(hardware.get("machine"))
    cpu = hardware.get("cpu")
    if isinstance(cpu, dict):
        yield "CPU", f"{text_of(cpu.get('model'))}, {text_of(cpu.get('usable_cores'))} usable cores"
    memory = hardware.get("memory")
    if isinstance(memory, dict) and isinstance(memory.get("usable_mib"), int | float):
        yield "memory", f"{memory['usable_mib'] / 1024:.1f} GiB usable"
    if "gpus" in hardware:
        yield "GPU", "; ".join(_gpu(gpu) for gpu in hardware["gpus"] if isinstance(gpu, dict)) or "none"
        yield "driver", text_of(hardware.get("driver_version"))
    if provenance:
        commit = text_of(provenance.get("commit")) or "unknown (not a git checkout)"
        states = {"True": ", with changes that are not committed", "False": ", clean"}
        yield "commit", commit + states.get(str(provenance.get("dirty")), "")
    yield "source hash", text_of(provenance.get("source_hash"))
    yield "version", text_of(provenance.get("version"))
    yield "Python", text_of(provenance.get("python"))
    libraries = provenance.get("libraries")
    if isinstance(libraries, dict):
        yield "libraries", ", ".join(f"{name} {version}" for name, version in libraries.items() if version)
    yield "platform", text_of(provenance.get("platform"))
    yield "hardware profile", text_of(config.get("hardware_profile"))
    if isinstance(config.get("run"), dict):
        yield "seed", text_of(config["run"].get("seed"))
    command = provenance.get("command")
    yield "command", " ".join(map(str, command)) if isinstance(command, list) else text_of(command)
    yield "time", text_of(provenance.get("time_utc"))


def _gpu(gpu: dict[str, Any]) -> str:
    memory = gpu.get("memory_total_mib")
    size = f", {memory / 1024:.0f} GiB" if isinstance(memory, int | float) else ""
    return f"{text_of(gpu.get('name'))}{size}"


def text_of(value: Any) -> str:
    """Return `value` as text, empty for None."""
    return "" if value is None else str(value)
