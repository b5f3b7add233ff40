"""What is drawn with axes and words: figures (`maps`, `panels`, `curves`) and the one-file HTML report (`html`)."""
