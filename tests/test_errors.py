"""Lines for people stay readable whatever a file holds."""

from __future__ import annotations

import pytest

from edge_vss.errors import MAX_LINE, MAX_QUOTED, shortened


def test_short_lines_stay_as_they_are() -> None:
    line = "x.bundle has no schedule 'nope'; it's the bundle's own fault, isn't it; it has: full"
    assert shortened(line) == line


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_long_quoted_value_is_cut_and_what_follows_is_kept(quote: str) -> None:
    line = shortened(f"tensor {quote}{'n' * 5000}{quote} is not declared; declare it")
    assert line.endswith(f"…{quote} is not declared; declare it")
    assert len(line) < MAX_QUOTED + 60


def test_a_long_list_is_cut_in_the_middle() -> None:
    line = shortened("it has: " + ", ".join(f"schedule_{i}" for i in range(5000)) + "; choose one")
    assert len(line) <= MAX_LINE
    assert line.startswith("it has: schedule_0,") and " … " in line and line.endswith("choose one")
