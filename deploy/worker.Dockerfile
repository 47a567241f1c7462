# A worker in a container. Build from the repository's root:
#   docker build -f deploy/worker.Dockerfile -t anabranch-worker .
# For NVIDIA GPUs, with the toolkit that has nvcc in it:
#   docker build -f deploy/worker.Dockerfile --build-arg BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04 -t anabranch-worker:cuda .
ARG BASE=debian:bookworm-slim
FROM node:24-bookworm-slim AS node
FROM ${BASE}
COPY --from=node /usr/local /usr/local
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates cmake g++ ninja-build git \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /anabranch
COPY . .
# The image may run on other processors than this one.
ENV ANABRANCH_KERNELS=all
RUN node scripts/run.mjs build && useradd --create-home worker && mkdir /models && chown worker /models
USER worker
# Models of the hub are kept here.
ENV HF_HOME=/models
VOLUME /models
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=3s --start-period=300s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9000/metrics').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "gpu-worker/src/main.ts", "--host", "0.0.0.0", "--port", "9000"]
