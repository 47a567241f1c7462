"""A streamed chat completion with OpenAI's own Python SDK: only the base URL and the key differ.

pip install openai
KEY=sk-ab-… python examples/openai_sdk.py "What are the benefits of learning a second language?"
"""

import os
import sys

from openai import OpenAI

question = (
    sys.argv[1] if len(sys.argv) > 1 else "What are the benefits of learning a second language?"
)
client = OpenAI(
    base_url=os.environ.get("GATEWAY", "http://127.0.0.1:8787") + "/v1",
    api_key=os.environ["KEY"],
)
stream = client.chat.completions.create(
    model=os.environ.get("MODEL", "smollm2:branching"),
    temperature=0,
    messages=[{"role": "user", "content": question}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    elif chunk.usage:
        # Anabranch's own counts; the SDK keeps fields that it does not know.
        counts = chunk.usage.model_extra["anabranch"]
        print(f"\n{counts['visible_tokens']} visible tokens in {counts['steps']} steps")
