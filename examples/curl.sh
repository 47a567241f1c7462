#!/bin/sh
# A streamed answer with curl, as any OpenAI client would ask for it.
#   KEY=sk-ab-… sh examples/curl.sh "What are the benefits of learning a second language?"
set -eu
GATEWAY=${GATEWAY:-http://127.0.0.1:8787}
MODEL=${MODEL:-smollm2:branching}
PROMPT=$(node -p 'JSON.stringify(process.argv[1])' "${1:-What are the benefits of learning a second language?}")

curl --silent --show-error --fail-with-body --no-buffer "$GATEWAY/v1/chat/completions" \
  -H "authorization: Bearer $KEY" \
  -H "content-type: application/json" \
  -d '{"model": "'"$MODEL"'", "stream": true, "temperature": 0,
       "messages": [{"role": "user", "content": '"$PROMPT"'}],
       "stream_options": {"include_usage": true}}'
