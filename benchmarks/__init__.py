"""Measure speed; each file is a command: python -m benchmarks.NAME."""
