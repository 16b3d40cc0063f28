# Every wheel of the lock, checked against its hash; then the project's own.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock .
RUN pip wheel --quiet --require-hashes --requirement requirements.lock --wheel-dir wheels
COPY pyproject.toml LICENSE ./
COPY services services
COPY projections projections
RUN pip wheel --quiet --no-index --find-links wheels --no-deps --wheel-dir wheels .
# From those wheels alone, so at the lock's versions, and without what only development needs.
RUN python -m venv /opt/tallystick \
    && /opt/tallystick/bin/pip install --quiet --no-index --find-links wheels tallystick \
    && /opt/tallystick/bin/pip uninstall --quiet --yes pip

FROM python:3.13-slim
# Any user may run the image: docker-compose.yml runs it as the owner of the secret files.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tallystick \
    && install --directory --owner tallystick --group tallystick --mode 1777 /var/lib/tallystick
COPY --from=build /opt/tallystick /opt/tallystick
ENV PATH=/opt/tallystick/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TALLYSTICK_DATA_DIR=/var/lib/tallystick \
    TALLYSTICK_HOST=0.0.0.0 \
    TALLYSTICK_PORT=8000
USER tallystick
WORKDIR /var/lib/tallystick
VOLUME /var/lib/tallystick
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['TALLYSTICK_PORT'] + '/livez', timeout=4)"]
ENTRYPOINT ["tallystick"]
CMD ["serve"]
