"""One robot per file: what it observes, what it is paid for, when it has fallen and where it begins."""
