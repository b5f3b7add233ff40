"""Figures with axes and words (`maps`, `panels`, `curves`), and the one-file HTML report (`html`)."""
