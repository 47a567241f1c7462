# The gateway in a container: workerd with embedded SQLite, its state in /state. Build from the repository's root:
#   docker build -f deploy/gateway.Dockerfile -t anabranch-gateway .
FROM node:24-bookworm-slim
WORKDIR /anabranch
COPY . .
RUN node scripts/run.mjs console \
  && node gateway/local/build.ts \
  && mkdir /state && chown node:node /state
USER node
VOLUME /state
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8787/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM drains it: give it longer than ANABRANCH_DRAIN_SECONDS.
CMD ["node", "gateway/local/main.ts", "--host", "0.0.0.0", "--port", "8787", "--state", "/state"]
