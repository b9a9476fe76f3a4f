"""Everything behind train.py and the tools; docs/architecture.md explains each package."""

import os
import platform
import tempfile

# TensorFlow uses the kernels of oneDNN by itself only on x86 processors with AVX-512. Without it, they make 1.3 to 2.5
# times as many images a second in training (docs/findings.md). It reads this when it is imported.
if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Keras reads both when it is imported, so they are set before that.
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own setting is
if os.path.expanduser("~").startswith("~"):  # there is no home, and Keras would make a folder called ~
    os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), "keras"))
