# The page in a container, for a CPU or a CUDA device; docs/hosting.md says how it is run.
#
#   docker build -t steer-core .
#   docker build -t steer-core:cuda --build-arg TORCH=cu128 .
#
# It runs as nobody in particular, on a read-only root file system: all that it writes goes below
# /data (experiments, directions, downloads) and /tmp.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build

# cpu, or the CUDA of torch's builds that fits the driver: cu128, ... (builds for CUDA 12.6 lack Blackwell)
ARG TORCH=cpu
# The first file alone, so that another version of the code costs no download.
WORKDIR /source
COPY requirements.txt requirements.lock ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --index-url "https://download.pytorch.org/whl/${TORCH}" \
        "$(grep '^torch[>=]' requirements.txt)" \
    && /venv/bin/pip install --no-cache-dir -r requirements.txt -c requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY tests/requirements.txt tests/requirements.txt
COPY .ci/extras .ci/extras
COPY steer_core steer_core
COPY assets assets
COPY cached_directions cached_directions
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:${PYTHON}-slim
COPY --from=build /venv /venv
RUN useradd --uid 1000 --create-home steer && mkdir /data && chown steer /data
USER steer
WORKDIR /data
VOLUME /data
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/data/huggingface \
    MPLCONFIGDIR=/tmp \
    STEER_HOST=0.0.0.0 \
    STEER_PORT=7860 \
    STEER_RUNS=/data/runs \
    STEER_DIRECTIONS=/data/directions \
    STEER_LOG=json
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"STEER_PORT\"]}/health', timeout=4)"]
# SIGTERM, which `docker stop` sends, stores the batch in flight: give it `--stop-timeout 60`.
CMD ["steer-core-app"]
