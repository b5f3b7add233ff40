"""The explorer: a local page in which a person drags through latent space and sees the image at once (docs/explorer.md)."""
