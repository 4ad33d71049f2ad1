# The worker, the command and the runner, without servers; nobody's secrets are in it. docker build -t flotilla .
#
#   BASE               what both stages begin with: any Debian; pinned to a date, so that it is the same tomorrow
#   SOURCES            lines for apt's sources.list, of an archive that keeps packages as they were; none: the base's own
#   SOURCE_DATE_EPOCH  the time that files get which are made here
#
# With BASE and SOURCES held, two builds have the same files, times included (REPEAT=yes make compose-test).

ARG BASE=debian:bookworm-20250520-slim

FROM ${BASE} AS packages
ARG SOURCES=
RUN if [ -n "$SOURCES" ]; then \
		rm -rf /etc/apt/sources.list.d/*; \
		printf '%s\n' "$SOURCES" >/etc/apt/sources.list; \
	fi

FROM packages AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
COPY scripts/deps scripts/deps
RUN apt-get update && apt-get install -y --no-install-recommends make && scripts/deps build && rm -rf /var/lib/apt/lists/*
COPY . .
ARG SOURCE_DATE_EPOCH=1747699200
# What the programs need at run time is read from them, so that no list has to follow the code.
RUN make -j"$(nproc)" CFLAGS=-O2 all \
	&& install -s -D -t /out/usr/bin build/plain/bin/flotilla build/plain/bin/flotillad \
	&& install -s -D -t /out/usr/libexec/flotilla build/plain/bin/flotilla-runner \
	&& mkdir -p /out/usr/share/flotilla \
	&& for program in /out/usr/bin/* /out/usr/libexec/flotilla/*; do ldd "$program"; done \
		| awk '$2 == "=>" { print "*/" $1 }' | sort -u | xargs dpkg-query -S \
		| sed 's/:.*//' | sort -u | grep -v '^libc6' >/out/usr/share/flotilla/packages \
	&& find /out -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +

FROM packages
ARG SOURCE_DATE_EPOCH=1747699200
COPY --from=build /out/usr/share/flotilla /usr/share/flotilla
# libcurl is loaded by name (flotilla broker apply). Packages' files keep the times that they came with; what is newer than
# `began` was made here.
RUN touch /began \
	&& apt-get update \
	&& xargs apt-get install -y --no-install-recommends libcurl4 </usr/share/flotilla/packages \
	&& groupadd --gid 10001 flotilla \
	&& useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/flotilla --shell /usr/sbin/nologin flotilla \
	&& install -d -o flotilla -g flotilla -m 750 /var/lib/flotilla /var/lib/flotilla/jobs /var/lib/flotilla/shared \
	&& rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache \
		/var/lib/dpkg/*-old /var/log/apt /var/log/*.log /etc/*- \
	&& find / -xdev -newer /began -not -path '/proc/*' -not -path '/sys/*' -not -path '/dev/*' \
		-exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} + \
	&& rm /began && touch --date "@$SOURCE_DATE_EPOCH" /
COPY --from=build /out/usr /usr
# What is copied has its times, but where it is copied to.
RUN touch --date "@$SOURCE_DATE_EPOCH" / /usr /usr/share /usr/share/flotilla
USER flotilla
WORKDIR /var/lib/flotilla
CMD ["flotillad"]
