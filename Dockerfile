# The image of every role and command: `docker compose build`, or
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=v1.0.0 --build-arg REVISION=$(git rev-parse HEAD) .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# amd64 or arm64; empty is that of this machine.
ARG TARGETARCH
RUN CGO_ENABLED=0 GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -o /out/millrace ./cmd/millrace

# Not distroless/static: the program loads libraries through glibc's loader, and does not start without it.
FROM gcr.io/distroless/base-nossl-debian13:nonroot
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Millrace" \
      org.opencontainers.image.description="Carries the runs of LLM applications from Kafka into ClickHouse, and exports them as data sets." \
      org.opencontainers.image.source="https://github.com/millrace/millrace" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/millrace /usr/local/bin/millrace
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/millrace"]
