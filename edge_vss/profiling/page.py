"""``report.html``: one file that needs no network, drawn from the same dictionary as the JSON.

Charts are SVG that Jinja2 puts into the page: a plotting library would add some 15 MB to a device and 4 MB of script to
every report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader

from edge_vss.profiling.drawings import draw_all
from edge_vss.profiling.figures import environment_rows, headline, tables, tiles, trust_lines

__all__ = ["build_page"]


def build_page(report: Mapping[str, Any]) -> str:
    """The page of a report."""
    pages = Environment(loader=PackageLoader("edge_vss.profiling", "templates"), autoescape=True, trim_blocks=True)
    return pages.get_template("report.html.j2").render(
        title=headline(report),
        report=report,
        trust=trust_lines(report),
        tiles=tiles(report),
        tables=tables(report),
        environment=environment_rows(report),
        charts=draw_all(report),
    )
