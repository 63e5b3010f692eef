"""What each of the published systems claims, as runs to compare. One module per system; ``systems.py`` plays them."""
