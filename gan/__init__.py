"""What a run is made of, one idea a file; train.py puts them together."""
