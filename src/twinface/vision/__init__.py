"""From pixels to templates."""

import os

# From 1.32 on ONNX Runtime would send its maker what it runs on, with a number of the device; it asks when loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
