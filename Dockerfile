# syntax=docker/dockerfile:1
# librdkafka and OpenSSL are built from source by cargo: only a C/C++ compiler, make and
# perl are needed (the image has them), and the result links nothing but libc.
# docs/kubernetes.md has the recipe for several architectures.
FROM rust:1.95.0-bookworm AS build
ARG TARGETARCH
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,id=target-${TARGETARCH} \
    deploy/build /out

# Symbols and line tables, for whoever wants them: docker build --target debug -o . .
FROM scratch AS debug
COPY --from=build /out/kafka-smpp.debug /

# No shell, no package manager, nothing but libc: it runs with a read-only root file system.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="kafka-smpp" \
      org.opencontainers.image.description="Connects Kafka with SMS centres over SMPP" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /out/kafka-smpp /usr/local/bin/kafka-smpp
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# It can be looked at on this port, by whom the container's network lets through.
ENV KAFKA_SMPP_CONFIG=/etc/kafka-smpp/connector.toml \
    KAFKA_SMPP__HTTP__LISTEN=0.0.0.0:9464
EXPOSE 9464
# Whether it makes progress. An SMSC or Kafka that is away is no reason to start it anew.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["/usr/local/bin/kafka-smpp", "status", "--live"]
ENTRYPOINT ["/usr/local/bin/kafka-smpp"]
CMD ["run"]
