# One image for the flow, the dashboard, the topics, the schema and the mock market; docker-compose.yml gives each its
# command and its health check. The base image's tag moves with Debian's fixes; the packages are checked by hash.
FROM python:3.12.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    HOME=/tmp

# The flow keeps its recovery store (pickles: for nobody else to write) and the lake here; named volumes copy the modes.
RUN useradd --system --uid 10001 --no-create-home conscope \
    && install -d -o conscope -g conscope -m 0755 /data/lake \
    && install -d -o conscope -g conscope -m 0700 /data/recovery

WORKDIR /app
COPY requirements.txt .
RUN pip install --only-binary :all: --require-hashes -r requirements.txt
COPY settings.py ./
COPY analytics analytics
COPY connectors connectors
COPY sinks sinks
COPY flows flows
COPY dash_app dash_app
RUN python -m compileall -q .

ENV PYTHONDONTWRITEBYTECODE=1 LAKE_DIR=/data/lake
USER conscope
CMD ["python", "-m", "bytewax.run", "flows.prices"]
