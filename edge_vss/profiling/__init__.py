"""Latency and power that people can trust: measured, judged, drawn, compared, and priced for other schedules."""
