# syntax=docker/dockerfile:1
# librdkafka and OpenSSL are built from source by cargo: only a C/C++ compiler, make and
# perl are needed (the image has them), and the result links nothing but libc.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    deploy/build /out

# Symbols and line tables, for whoever wants them: docker build --target debug -o . .
FROM scratch AS debug
COPY --from=build /out/kafka-smpp.debug /

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/kafka-smpp /usr/local/bin/kafka-smpp
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/kafka-smpp"]
CMD ["run", "--config", "/etc/kafka-smpp/connector.toml"]
