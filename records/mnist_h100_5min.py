"""The board of 5 minutes on one card: `python records/mnist_h100_5min.py`, given again where a time limit ended it."""

from __future__ import annotations

from board import Board, main

BOARD = Board(
    "mnist_h100_5min",
    "5 minutes, one card",
    seconds=300,
    device="cuda",
    seeds=(0,),
    words="causal:causal_vae --width 1024 --batch-size 512 --kinds 8 --warmup 0.5",
)

if __name__ == "__main__":
    main(BOARD)
