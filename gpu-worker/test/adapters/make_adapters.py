"""Makes two LoRA adapters of models/small, for tests of the worker and of the gateway.

    .anabranch/venv/bin/pip install -r training/requirements.txt peft==0.21.2
    .anabranch/venv/bin/python gpu-worker/test/adapters/make_adapters.py

`loud` changes every answer; `marked` hardly changes the model, but brings its dialect.
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
SMALL = HERE.parents[2] / "models" / "small"
SCALE = {"loud": 0.5, "marked": 0.01}


def make(name: str) -> None:
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    model = AutoModelForCausalLM.from_pretrained(SMALL, dtype=torch.float32)
    options = dict(target_modules=["o_proj"], layers_to_transform=[2, 3], task_type="CAUSAL_LM")
    model = get_peft_model(model, LoraConfig(r=1, lora_alpha=1, init_lora_weights=False, **options))
    for key, p in model.named_parameters():
        if "lora_" in key:
            p.data = SCALE[name] * torch.randn(p.shape, generator=generator)
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": "models/small", "target_modules": ["o_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    if name == "marked":
        shutil.copy(SMALL / "aspd.json", folder)


if __name__ == "__main__":
    for each in SCALE:
        make(each)
