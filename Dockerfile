# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /src
COPY pyproject.toml constraints.txt LICENSE ./
COPY ledger ledger
COPY migrations migrations
RUN uv venv /opt/ledger \
 && uv pip install --python /opt/ledger/bin/python --constraint constraints.txt '.[parquet,tracing]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent ledger
COPY --from=build /opt/ledger /opt/ledger
ENV PATH=/opt/ledger/bin:$PATH PYTHONUNBUFFERED=1 LEDGER_HOST=0.0.0.0 LEDGER_ENV=production
USER ledger
EXPOSE 8000
ENTRYPOINT ["ledger"]
CMD ["serve"]
