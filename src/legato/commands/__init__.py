"""One file per command of `legato`, each with an `app`; imported only when it is called."""
