"""Boards without hardware: what machines have, and files that show it."""
