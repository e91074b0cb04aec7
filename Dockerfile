# The image of the operator: one static program on a base of CA certificates and little else.
#
#   docker build -t keyturn .
#
# A program that was built outside goes in by naming its directory in place of the stage "build", which is then
# not run; the base can be named too (one without CA certificates, as `scratch`, wants them mounted at /etc/ssl/certs:
# the program ends at once if it finds none):
#
#   docker build -t keyturn --build-context build=target/x86_64-unknown-linux-gnu/release --build-arg BASE=scratch .

ARG BASE=gcr.io/distroless/static-debian12:nonroot

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# .cargo/config.toml makes the program static and names the target.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    set -eu; \
    cargo build --release --locked --bin keyturn; \
    cp "target/$(rustc --print host-tuple)/release/keyturn" /keyturn

FROM ${BASE}
LABEL org.opencontainers.image.title="keyturn" \
      org.opencontainers.image.description="Gives every person the AWS credentials of the IAM role they may use, as a Kubernetes Secret that is always fresh" \
      org.opencontainers.image.licenses="Apache-2.0"
# Whatever the umask was under which the program was built: it does not run as root.
COPY --from=build --chmod=0755 /keyturn /keyturn
# nonroot of the base, by number so that runAsNonRoot can be checked.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/keyturn"]
CMD ["run"]
