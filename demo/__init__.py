"""The page: a Gradio demo around a predictor. It knows `Prediction`, and nothing of torch."""

import os

# Gradio reads this at import. The page must not report to anyone that or how it is used.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# numpy and tokenizers read these. For so little work their threads cost more than they save:
# waiting for more they keep a core busy that the model could use.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
