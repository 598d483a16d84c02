"""The page: a Gradio demo around a predictor. It knows `Prediction`, and nothing of torch."""

import os

# Gradio reads this at import. The page must not report to anyone that or how it is used.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
