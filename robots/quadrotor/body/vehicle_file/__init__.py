"""Vehicle files: a drone of your own, read, checked and written."""
