"""Teaches models to branch: tokenizer, batches with hidden siblings, trainers, evaluation."""
