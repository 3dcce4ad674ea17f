# The image of `make image`, for those who have a container engine: the program, the shared libraries that it
# needs, certificates of public authorities, a user that is not root, and nothing else.
#
#   docker build --tag chancery:dev .

ARG RUST_VERSION=1.95.0
# Debian 12, as Envoy's distroless image: its C library is the one that the AI engine's module is loaded with.
FROM rust:${RUST_VERSION}-slim-bookworm AS build
# The components of rust-toolchain.toml are for people.
ARG RUST_VERSION
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates
WORKDIR /source
COPY . .
RUN cargo build --locked --release --package controlplane --bin chancery
# The AI engine's module, which Envoys fetch.
RUN cargo build --locked --release --package module
# Everything that the image holds, in /image.
RUN set -eu; \
    install -D target/release/chancery /image/usr/local/bin/chancery; \
    ldd target/release/chancery | grep --only-matching '/[^ ]*' | while read -r library; do \
        install -D "$(readlink --canonicalize "$library")" "/image$library"; \
    done; \
    install -D --mode=644 target/release/libchancery_ai.so \
        "/image/usr/local/lib/chancery/libchancery_ai.$(dpkg --print-architecture).so"; \
    install -D --mode=644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt; \
    printf '%s\n' root:x:0:0:root:/root:/sbin/nologin nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin >/image/etc/passwd; \
    printf '%s\n' root:x:0: nonroot:x:65532: >/image/etc/group; \
    install --directory --mode=1777 /image/tmp

FROM scratch
COPY --from=build /image /
USER 65532:65532
WORKDIR /
ENV PATH=/usr/local/bin:/usr/bin:/bin
ENTRYPOINT ["/usr/local/bin/chancery"]
