"""jetson."""
