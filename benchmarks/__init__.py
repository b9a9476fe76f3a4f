"""Measure speed, and kill trainings; crash_loop.py and speed.py are commands: python -m benchmarks.NAME."""
