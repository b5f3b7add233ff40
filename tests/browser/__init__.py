"""The page in a real browser (docs/explorer.md): what a person sees and does, against the same models asked from Python."""
