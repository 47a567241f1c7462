"""Writes fixture.json beside it: conversations rendered by transformers with each template.

Needs transformers 5.24 and Jinja2.

    python gpu-worker/test/chat-templates/make_fixture.py
"""

import datetime
import json
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).parent
SYSTEM = {"role": "system", "content": "Answer briefly.\nUse no lists."}
CONVERSATIONS = {
    "a question": [{"role": "user", "content": "What is 2 + 2?"}],
    "a question with instructions": [SYSTEM, {"role": "user", "content": "  Naïve café? 你好\n"}],
    "three turns": [
        {"role": "user", "content": "Say 'hi' & \"bye\" <b>."},
        {"role": "assistant", "content": "Hi!\n\n* bye"},
        {"role": "user", "content": "{{ again }} {% raw %}"},
    ],
    "five turns with instructions": [
        SYSTEM,
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\n2"},
        {"role": "user", "content": "Three"},
    ],
    "turns out of order": [
        {"role": "user", "content": "One"},
        {"role": "user", "content": "Two"},
    ],
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def render(tokenizer, messages, template):
    try:
        return tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # what the template raises
        assert "TemplateError" in type(error).__name__, error
        return None


def main():
    vocabulary = {token: i for i, token in enumerate(TOKENS.values())}
    model = models.WordLevel(vocab=vocabulary, unk_token="<unk>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), **TOKENS)
    rendered = {}
    for path in sorted(FOLDER.glob("*.jinja")):
        template = path.read_text()
        rendered[path.stem] = {
            name: render(tokenizer, messages, template) for name, messages in CONVERSATIONS.items()
        }
    out = {
        "date": datetime.date.today().isoformat(),
        "tokens": TOKENS,
        "conversations": CONVERSATIONS,
        "rendered": rendered,
    }
    text = json.dumps(out, ensure_ascii=False, indent=1)
    (FOLDER / "fixture.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
