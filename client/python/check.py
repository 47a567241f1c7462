"""Asks a gateway with anabranch.py and prints what came as JSON, for anabranch.test.ts."""

import json
import os

from anabranch import Answer, bodies, declared, lanes
from openai import OpenAI

client = OpenAI(base_url=os.environ["GATEWAY"] + "/v1", api_key=os.environ["KEY"])
request = {
    "model": os.environ["MODEL"],
    "temperature": 0,
    "messages": [{"role": "user", "content": os.environ["QUESTION"]}],
}
lanes_wanted = {"mode": "parallel", "stream": "lanes"}
options = {"include_usage": True}


def streamed(extra: dict) -> tuple[Answer, list[str]]:
    answer = Answer()
    stream = client.chat.completions.create(
        **request, stream=True, stream_options=options, extra_body=extra
    )
    return answer, [event.kind for event in lanes(stream, answer)]


def told(model: str, **extra) -> dict:
    """What a model thinks and calls."""
    answer = Answer()
    stream = client.chat.completions.create(
        **{**request, "model": model, "max_tokens": 200}, stream=True, extra_body=extra
    )
    kinds = {event.kind for event in lanes(stream, answer)}
    message = answer.message
    return {"thoughts": answer.thoughts, "message": message, "kinds": sorted(kinds)}


parameters = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
answer, kinds = streamed({"anabranch": lanes_wanted})
questions = {"first": "Describe Mercury.", "second": "Describe Mars."}
whole = client.chat.completions.create(**request, max_tokens=20, extra_body=declared(questions))
request["max_tokens"] = 20
side_by_side, _ = streamed({"anabranch": {**declared(questions)["anabranch"], "stream": "lanes"}})
found = {
    "text": answer.text,
    "message": answer.message,
    "kinds": sorted(set(kinds)),
    "finish_reason": answer.finish_reason,
    "branches": answer.usage.model_extra["anabranch"]["branches"],
    "declared": bodies(whole.choices[0].message),
    "declared_text": whole.choices[0].message.content,
    "streamed": {title: branch.text for title, branch in side_by_side.branches.items()},
    "streamed_text": side_by_side.text,
    "thinking": told("thinker", chat_template_kwargs={"enable_thinking": True}),
    "calling": told("with-tools", tools=[tool], tool_choice="required", parallel_tool_calls=False),
}
print(json.dumps(found))
