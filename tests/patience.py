"""How long a test waits for what may never come: far longer than a busy machine takes, so that nothing is told of speed."""

PATIENCE = 300.0  # seconds
