# The page in a small image: no root, no GPU, no network needed once it is built.
#   docker build -t derm-mmmodal .
#   docker run --rm -p 127.0.0.1:7860:7860 --read-only --tmpfs /tmp derm-mmmodal
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# torch first, and from its CPU index: the one of PyPI brings several GB of CUDA.
RUN pip install "torch>=2.8,<2.14" "torchvision>=0.23,<0.29" \
    --index-url https://download.pytorch.org/whl/cpu
COPY requirements.txt .
RUN pip install -r requirements.txt

COPY app.py LICENSE ./
COPY dermmm dermmm
COPY demo demo
COPY checkpoints checkpoints

RUN useradd --uid 1000 --no-create-home derm
USER derm
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/')"]
# Options of app.py may follow the image's name: docker run ... derm-mmmodal --root-path /derm
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
