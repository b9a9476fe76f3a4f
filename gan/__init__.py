"""Everything behind train.py and the tools; docs/architecture.md explains each package."""
