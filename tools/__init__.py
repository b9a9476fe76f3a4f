"""Commands beside train.py, each run as `python -m tools.NAME`."""
