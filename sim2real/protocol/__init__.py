"""Messages that server and client share."""
