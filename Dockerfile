# The image of the operator, of the webhook and of the endpoint in pods: two static programs on a base of CA certificates
# and little else.
#
#   docker build -t keyturn .
#
# Programs that were built outside go in by naming their directory in place of the stage "build", which is then not
# run. The directory needs the other names of keyturn, too: mkdir names; ln -s keyturn names/kubectl-keyturn. The base
# can be named as well (one without CA certificates, as `scratch`, wants them mounted at /etc/ssl/certs: keyturn ends at
# once if it finds none):
#
#   docker build -t keyturn --build-context build=target/x86_64-unknown-linux-gnu/release --build-arg BASE=scratch .

# The images are named by their digests, because a tag can be moved to another image. The tag is for people, and for
# the tools that propose a newer digest. By hand: docker buildx imagetools inspect rust:1.95-bookworm

ARG BASE=gcr.io/distroless/static-debian12:nonroot@sha256:d093aa3e30dbadd3efe1310db061a14da60299baff8450a17fe0ccc514a16639

FROM rust:1.95-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1 AS build
WORKDIR /src
COPY . .
# .cargo/config.toml makes the programs static and names the target.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    set -eu; \
    cargo build --release --locked --bin keyturn --bin keyturn-endpoint; \
    for program in keyturn keyturn-endpoint; do cp "target/$(rustc --print host-tuple)/release/$program" /; done; \
    mkdir /names; \
    ln -s keyturn /names/kubectl-keyturn; \
    ln -s keyturn /names/kubectl_complete-keyturn

FROM ${BASE}
LABEL org.opencontainers.image.title="keyturn" \
      org.opencontainers.image.description="Gives every person the AWS credentials of the IAM role they may use, as a Kubernetes Secret that is always fresh" \
      org.opencontainers.image.licenses="Apache-2.0"
# Whatever the umask was under which the programs were built: they do not run as root.
COPY --from=build --chmod=0755 /keyturn /keyturn
# The endpoint in pods, which the webhook adds to pods of users.
COPY --from=build --chmod=0755 /keyturn-endpoint /keyturn-endpoint
# The names under which keyturn is a plugin of kubectl, and completes its command lines: links to it.
COPY --from=build /names/ /
# nonroot of the base, by number so that runAsNonRoot can be checked.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/keyturn"]
CMD ["run"]
