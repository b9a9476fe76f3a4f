"""Everything behind train.py and the tools; docs/architecture.md explains each package."""

import os

# Keras reads both when it is imported, so they are set before that, whatever the user's own settings are.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_HOME"] = os.devnull  # it holds no keras.json, and takes none
