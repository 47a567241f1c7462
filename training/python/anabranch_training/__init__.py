"""How a model learns to branch: tokenizer, branch-invisible batches, trainer, evaluation."""
