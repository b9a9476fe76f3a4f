"""Measure speed and memory, and test crashes, damaged files and long trainings: python -m benchmarks.NAME."""
