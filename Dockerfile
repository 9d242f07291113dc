# Build:  docker build -t seedance-mcp .
# Wallet: docker run -it --rm -v seedance:/data -v PASSWORD_FILE:/run/secrets/seedance-password:ro seedance-mcp wallet new
# Run:    docker run -i --rm -v seedance:/data -v PASSWORD_FILE:/run/secrets/seedance-password:ro \
#             -v ~/Pictures:/images:ro -v ~/Videos/seedance:/clips seedance-mcp
# Policy: -v ~/.config/seedance-mcp:/config/seedance-mcp:ro
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements/demo.txt requirements.txt
RUN python -m venv /opt/seedance \
    && /opt/seedance/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.txt
COPY seedance_mcp /opt/seedance/lib/python3.13/site-packages/seedance_mcp
# The user below can write nothing there, so that what is not compiled now would be compiled at every start.
RUN /opt/seedance/bin/python -m compileall -q /opt/seedance/lib

FROM python:3.13-slim
COPY --from=build /opt/seedance /opt/seedance
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin seedance \
    && install --directory --owner=seedance --mode=0700 /data /clips \
    && install --directory /config /images
# It is the name of a file that is mounted, not a password.
# hadolint ignore=DL3064
ENV PATH=/opt/seedance/bin:$PATH \
    XDG_CONFIG_HOME=/config \
    SEEDANCE_LEDGER=sqlite:/data/ledger.db \
    SEEDANCE_KEYSTORE=/data/keystore.json \
    SEEDANCE_KEYSTORE_PASSWORD_FILE=/run/secrets/seedance-password \
    SEEDANCE_OUTPUT_DIR=/clips \
    SEEDANCE_IMAGE_ROOTS=/images
USER 10001
WORKDIR /data
# The ledger decides what may still be spent: without a volume it would be forgotten with the container.
VOLUME ["/data", "/clips"]
ENTRYPOINT ["python", "-m", "seedance_mcp"]
CMD ["serve"]
