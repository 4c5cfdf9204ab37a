# Two images: `testbed` plays every role of a run, `devices` emulated devices alone, as on a Raspberry Pi.
#
#   docker build --target testbed --tag sharegrid .
#   docker build --target devices --tag sharegrid-devices .
#
# Dependencies come before code, so that a change of code builds in seconds. The last stages hold what runs and
# nothing else: neither pip nor documentation. The file system may be read-only; bytecode goes to /tmp.

ARG PYTHON_IMAGE=python:3.11.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
RUN rm -rf /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/i18n /usr/share/perl5 \
      /usr/share/python-wheels /usr/lib/python3/dist-packages /usr/lib/*/gconv /usr/lib/*/perl* /usr/bin/perl* \
      /usr/lib/python3*/ensurepip /usr/lib/python3*/lib2to3 /usr/lib/python3*/__pycache__ \
      /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
      /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/idlelib /usr/local/lib/python3*/test \
      /var/lib/apt /var/cache /var/log /usr/lib/apt /usr/lib/*/libapt* \
    && find /usr/lib /usr/local/lib -name __pycache__ -prune -exec rm -rf {} + \
    && echo 'sharegrid:x:1000:1000::/home/sharegrid:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'sharegrid:x:1000:' >>/etc/group \
    && install -d -o 1000 -g 1000 /home/sharegrid /runs /security /state && install -d -m 1777 /tmp

FROM ${PYTHON_IMAGE} AS tools
RUN python3 -m venv /opt/sharegrid
ENV PATH=/opt/sharegrid/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1
WORKDIR /src

FROM tools AS build-testbed
COPY scripts/locked/cosim.txt scripts/locked/
RUN pip install --require-hashes --requirement scripts/locked/cosim.txt
COPY pyproject.toml README.md LICENSE ./
COPY broker broker
COPY cosim cosim
COPY devices devices
COPY market market
COPY scenarios scenarios
COPY sharegrid sharegrid
COPY scripts/strip-environment scripts/
RUN pip install --no-deps --no-build-isolation . && scripts/strip-environment /opt/sharegrid \
    && python -B -c "import cosim.run, cosim.report, opendssdirect, pvlib, demandlib, pandas, pyarrow.parquet"

FROM tools AS build-devices
COPY scripts/locked/devices.txt scripts/locked/
RUN pip install --require-hashes --requirement scripts/locked/devices.txt
COPY pyproject.toml README.md LICENSE ./
COPY broker broker
COPY cosim cosim
COPY devices devices
COPY market market
COPY scenarios scenarios
COPY sharegrid sharegrid
COPY scripts/strip-environment scripts/
RUN pip install --no-deps --no-build-isolation . && scripts/strip-environment /opt/sharegrid \
    && python -B -c "import devices.program.run, devices.gateway.service, devices.client.connection"

FROM scratch AS runtime
COPY --from=base / /
ENV PATH=/opt/sharegrid/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/home/sharegrid \
    PYTHONPYCACHEPREFIX=/tmp/bytecode PYTHONUNBUFFERED=1
ARG COMMIT=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title=sharegrid \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${COMMIT}
ENV SHAREGRID_COMMIT=${COMMIT}
USER 1000:1000
WORKDIR /home/sharegrid
ENTRYPOINT ["sharegrid"]

FROM runtime AS devices
COPY --from=build-devices /opt/sharegrid /opt/sharegrid
ENTRYPOINT ["sharegrid", "device"]

FROM runtime AS testbed
COPY --from=build-testbed /opt/sharegrid /opt/sharegrid
