# One image for every role; docker-compose.yml says which role a container plays.
FROM python:3.11-slim

RUN useradd --create-home sharegrid && install -d -o sharegrid /runs
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir --require-hashes --requirement scripts/locked/cosim.txt \
    && pip install --no-cache-dir --no-deps --no-build-isolation .

USER sharegrid
WORKDIR /home/sharegrid
ENTRYPOINT ["sharegrid"]
