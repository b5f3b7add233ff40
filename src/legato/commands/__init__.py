"""Commands of `legato`, one file each with an `app`, imported only when it is called."""
