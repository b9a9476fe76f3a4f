"""Everything behind train.py and the tools; docs/architecture.md explains each package."""

import os
import tempfile

# Keras reads both when it is imported, so they are set before that.
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own setting is
if os.path.expanduser("~").startswith("~"):  # there is no home, and Keras would make a folder called ~
    os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), "keras"))
