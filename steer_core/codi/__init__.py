"""The model: checkpoint files to weights; prefill, latent steps, answer."""
