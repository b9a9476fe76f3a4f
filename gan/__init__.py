"""Everything behind train.py and the tools; docs/architecture.md explains each package."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own setting is; Keras reads it when it is imported
