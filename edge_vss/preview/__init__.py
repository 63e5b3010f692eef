"""The page of ``edge-vss run --preview``: live overlay, stages, latency, power, drops and statistics, over HTTP.

It runs in threads of its own. The frame loop hands over the newest frame through one slot, only while somebody looks,
and never waits for a browser.
"""

from edge_vss.preview.address import DEFAULT_ADDRESS, TOKEN_VARIABLE, Address, parse_address
from edge_vss.preview.preview import Preview, open_preview

__all__ = ["DEFAULT_ADDRESS", "TOKEN_VARIABLE", "Address", "Preview", "open_preview", "parse_address"]
