# syntax=docker/dockerfile:1
# One image for `twinface serve`; docs/server.md says how to run it. Everything it keeps lies in /data.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
RUN python -m venv /opt/twinface \
 && /opt/twinface/bin/pip install --constraint constraints.txt ".[server,video]"

FROM python:3.13-slim
RUN groupadd --system --gid 10001 twinface \
 && useradd --system --uid 10001 --gid twinface --no-create-home --home-dir /data --shell /usr/sbin/nologin twinface \
 && install --directory --owner twinface --group twinface --mode 0700 /data
COPY --from=build /opt/twinface /opt/twinface
ENV PATH=/opt/twinface/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=1 \
    TWINFACE_GALLERY=/data/people.db \
    TWINFACE_CACHE=/data/cache \
    TWINFACE_DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "from twinface.client import Client; Client('http://127.0.0.1:8080', timeout=4).health()"]
ENTRYPOINT ["twinface"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
