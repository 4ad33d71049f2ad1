# syntax=docker/dockerfile:1
# The worker, the command and the runner; no servers. docker build -t flotilla .

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY scripts/deps scripts/deps
RUN apt-get update && apt-get install -y --no-install-recommends make && scripts/deps build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make -j"$(nproc)" && make install DESTDIR=/out PREFIX=/usr

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
		librabbitmq4 libhiredis0.14 libuv1 libmsgpackc2 libjansson4 libyaml-0-2 libnettle8 libssl3 libmicrohttpd12 libcurl4 python3-minimal python3-msgpack \
	&& rm -rf /var/lib/apt/lists/* \
	&& useradd --system --create-home --home-dir /var/lib/flotilla flotilla
COPY --from=build /out/usr /usr
USER flotilla
WORKDIR /var/lib/flotilla
CMD ["flotillad"]
