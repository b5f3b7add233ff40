"""Priors that are fitted to codes after training: each is one more prior, in a model's place for p(z)."""
