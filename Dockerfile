# syntax=docker/dockerfile:1

ARG GO_VERSION=1.26

# Cross-compiles: the toolchain runs on the platform of the builder.
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0

RUN --mount=type=bind,source=go.mod,target=go.mod \
    --mount=type=bind,source=go.sum,target=go.sum \
    --mount=type=cache,target=/go/pkg/mod \
    go mod download

ARG TARGETOS
ARG TARGETARCH
ARG VERSION=""
ARG COMMIT=""
ARG DATE=""
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    GOOS="${TARGETOS}" GOARCH="${TARGETARCH}" go build -trimpath -buildvcs=false -ldflags "-s -w \
      -X github.com/deepimage-receiver/receiver/internal/telemetry.version=${VERSION} \
      -X github.com/deepimage-receiver/receiver/internal/telemetry.commit=${COMMIT} \
      -X github.com/deepimage-receiver/receiver/internal/telemetry.date=${DATE}" \
      -o /out/receiver ./cmd/receiver

RUN mkdir /out/data

# Contains CA certificates, /etc/passwd and /tmp; no shell, no package manager.
FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=""
ARG COMMIT=""
ARG DATE=""
LABEL org.opencontainers.image.title="Deep Image webhook receiver" \
      org.opencontainers.image.description="Receives Deep Image webhooks durably and stores the result images" \
      org.opencontainers.image.source="https://github.com/deepimage-receiver/receiver" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${DATE}"

COPY --from=build /out/receiver /receiver
# The user of the image (65532, nonroot) owns the data folder. Platforms that choose the UID, such as OpenShift, run it with group 0.
COPY --from=build --chown=65532:0 --chmod=0770 /out/data /data

# Only /data is written; the root may be read-only.
ENV RECEIVER_DATA_DIR=/data
VOLUME /data
USER 65532:65532
EXPOSE 8080

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["/receiver", "healthcheck"]
ENTRYPOINT ["/receiver"]
CMD ["serve"]
