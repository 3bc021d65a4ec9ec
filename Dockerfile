# One image for every role; docker-compose.yml says which command each of them runs.
FROM python:3.11.15-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock /tmp/requirements.lock
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --only-binary :all: --require-hashes -r /tmp/requirements.lock

FROM python:3.11.15-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=shop.settings \
    BOOKRUSH_STATE_DIR=/var/lib/bookrush \
    SERVE_STATIC_FROM_SOURCE=false \
    STATIC_ROOT=/app/staticfiles
RUN groupadd --gid 10001 bookrush \
    && useradd --uid 10001 --gid bookrush --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin bookrush \
    && install -d -o bookrush -g bookrush /var/lib/bookrush
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY . .
# As root on purpose: the running process cannot change its own code.
RUN python manage.py collectstatic --noinput && python -m compileall -q .
USER bookrush
EXPOSE 8000 8001
CMD ["python", "manage.py", "help"]
