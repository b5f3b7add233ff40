"""The board of 1 minute on two cores; options stand in records/board.py, rules in records/board.md."""

from __future__ import annotations

from board import Board, main

BOARD = Board(
    "mnist_1min",
    "1 minute, two cores",
    seconds=60,
    words="causal:causal_vae --depth 1 --batch-size 128 --kinds 8 --warmup 0.5 --learning-rate 2e-3",
)

if __name__ == "__main__":
    main(BOARD)
