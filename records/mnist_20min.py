"""The board of 20 minutes on two cores; options stand in records/board.py, rules in records/board.md."""

from __future__ import annotations

from board import Board, main

BOARD = Board(
    "mnist_20min",
    "20 minutes, two cores",
    seconds=1200,
    words="causal:causal_vae --depth 1 --batch-size 128 --kinds 8 --places 7 --warmup 0.5",
)

if __name__ == "__main__":
    main(BOARD)
