# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures as text and as a drawing. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, List
from xml.sax.saxutils import escape

from .figures import Bar, seconds_in
from .tools import OURS
from .work import MIB

HEAD = ("", "s", "min", "max", "ours/its", "cpu s", "source", "target", "MB in", "MB out", "MiB")
_MEANING = (
    "s: median of the rounds. ours/its: our module's median by the tool's. cpu s: of its processes.\nsource,"
    " target: requests (without those answered with 401). MB in: bodies read from the source.\nMB out: bytes of the"
    " connections to the target, TLS included. MiB: peak memory, of one process each."
)


def row_of(tool: str, figures: Mapping[str, Any]) -> Sequence[str]:
    """A line of the table, in the order of HEAD."""
    seconds = figures["seconds"] or {}
    times = [f"{seconds[key]:.2f}" if seconds else "-" for key in ("median", "min", "max")]
    ratio = f"{figures['ratio']:.2f}" if figures["ratio"] else "-"
    out = figures["target"]["received"]
    return (
        tool,
        *times,
        ratio,
        f"{figures['cpu']:.2f}",
        _methods(figures["source"]),
        _methods(figures["target"]),
        f"{figures['source']['sent'] / 1e6:.1f}",
        "-" if out is None else f"{out / 1e6:.1f}",
        _peak(figures),
    )


def _methods(side: Mapping[str, Any]) -> str:
    parts = [f"{count} {method}" for method, count in sorted(side["requests"].items())]
    return f"{side['total']} ({', '.join(parts)})" if len(parts) > 1 else " ".join(parts) or "0"


def _peak(figures: Mapping[str, Any]) -> str:
    several = f" x{figures['processes']}" if figures["processes"] > 1 else ""
    return f"{figures['peak'] / MIB:.0f}{several}"


def table_text(table: Mapping[str, Mapping[str, Mapping[str, Any]]], titles: Mapping[str, str]) -> str:
    """All steps, a block each."""
    blocks = []
    for step, tools in table.items():
        rows = [HEAD, *(row_of(tool, figures) for tool, figures in tools.items())]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
            for row in rows
        ]
        blocks.append("\n".join([f"{step}: {titles[step]}", *lines]))
    return "\n\n".join([*blocks, _MEANING])


def table_rst(table: Mapping[str, Mapping[str, Mapping[str, Any]]], titles: Mapping[str, str]) -> str:
    """The times and counts as one table of reStructuredText, for the documentation."""
    rows = [("", "seconds", "ours by its", "requests", "MB in", "MB out", "MiB")]
    for step, tools in table.items():
        rows.append((f"**{step}**: {titles[step]}", *[""] * (len(rows[0]) - 1)))
        rows += [_rst_row(tool, figures) for tool, figures in tools.items()]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if not number else ' '} - {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _rst_row(tool: str, figures: Mapping[str, Any]) -> Sequence[str]:
    name, median, first, last, ratio, _cpu, _source, _target, taken, given, peak = row_of(tool, figures)
    code = f"``{name}``" if tool in OURS else name
    requests = f"{figures['source']['total']} + {figures['target']['total']}"
    return (code, f"{median} ({first} to {last})", ratio, requests, taken, given, peak)


def bars_text(bars: Sequence[Bar]) -> str:
    lines = []
    for each in bars:
        word = {True: "met", False: "NOT MET", None: "not judged"}[each.met]
        figures = f"{amount(each.figure, each.unit)}, at most {amount(each.limit, each.unit)}"
        lines.append(f"{word:10}  {each.step}: {each.name}: {figures}")
    return "\n".join(lines)


def amount(value: Any, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:.2f}" if isinstance(value, float) else f"{value}"
    return f"{text} {unit}".strip()


# ---------------------------------------------------------------- the drawing

_ROW, _TITLE, _LEFT, _BAR, _WIDTH = 20, 34, 150, 300, 900
_COLUMNS = ((640, "requests: source"), (720, "target"), (800, "MB out"), (880, "MiB"))
_OURS, _THEIRS, _INK, _PALE = "#1f5fa8", "#a9b4c0", "#1c2733", "#5d6b7a"


def drawing(table: Mapping[str, Mapping[str, Mapping[str, Any]]], titles: Mapping[str, str], caption: str) -> str:
    """An SVG: a bar as long as the median with a line from the fastest to the slowest round, and the counts."""
    parts: List[str] = []
    height = 30
    for step, tools in table.items():
        parts += _block(step, titles[step], tools, height)
        height += _TITLE + _ROW * len(tools) + 10
    parts.append(_text(10, height + 8, caption, _PALE, 11))
    size = f'width="{_WIDTH}" height="{height + 20}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height + 20}" {size}',
            'font-family="sans-serif">',
            f'<rect {size} fill="#ffffff"/>',
            _text(_LEFT, 18, "seconds", _PALE, 11),
            *(_text(right, 18, name, _PALE, 11, "end") for right, name in _COLUMNS),
            *parts,
            "</svg>\n",
        ]
    )


def _block(step: str, title: str, tools: Mapping[str, Mapping[str, Any]], top: int) -> List[str]:
    longest = max([figures["seconds"]["max"] for figures in tools.values() if figures["seconds"]] or [1.0])
    parts = [_text(10, top + 20, f"{step}: {title}", _INK, 13, weight="bold")]
    for number, (tool, figures) in enumerate(tools.items()):
        parts += _line(tool, figures, top + _TITLE + number * _ROW, _BAR / longest)
    return parts


def _line(tool: str, figures: Mapping[str, Any], top: int, scale: float) -> List[str]:
    base = top + 12
    parts = [_text(_LEFT - 8, base, tool, _INK, 12, "end", "bold" if tool in OURS else "normal")]
    seconds = figures["seconds"]
    if seconds:
        middle, first, last = (seconds[key] * scale for key in ("median", "min", "max"))
        color, half = (_OURS if tool in OURS else _THEIRS), f'y1="{top + 8.5}" y2="{top + 8.5}"'
        parts.append(f'<rect x="{_LEFT}" y="{top + 2}" width="{middle:.1f}" height="13" fill="{color}"/>')
        parts.append(f'<line x1="{_LEFT + first:.1f}" x2="{_LEFT + last:.1f}" {half} stroke="{_INK}"/>')
        parts.append(_text(_LEFT + last + 6, base, f"{seconds_in(figures):.2f}", _INK, 12))
    out = figures["target"]["received"]
    cells = (
        f"{figures['source']['total']}",
        f"{figures['target']['total']}",
        "-" if out is None else f"{out / 1e6:.1f}",
        _peak(figures),
    )
    return parts + [_text(right, base, cell, _INK, 12, "end") for (right, _name), cell in zip(_COLUMNS, cells)]


def _text(x: float, y: float, text: str, color: str, size: int, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size}" text-anchor="{anchor}"'
        f' font-weight="{weight}">{escape(text)}</text>'
    )
