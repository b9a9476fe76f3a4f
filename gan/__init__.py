"""Everything behind train.py and the tools; docs/architecture.md explains each package."""

import os
import platform
import tempfile

# On Linux, TensorFlow uses the kernels of oneDNN by itself only on x86 processors with instructions for neural
# networks, such as AVX-VNNI. On an older one, `default` trains 1.4 to 1.6 times as fast with them (docs/findings.md,
# "Older processors"). TensorFlow reads this when it is imported.
if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Keras reads both when it is imported, so they are set before that.
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own setting is
if os.path.expanduser("~").startswith("~"):  # there is no home, and Keras would make a folder called ~
    os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), "keras"))
