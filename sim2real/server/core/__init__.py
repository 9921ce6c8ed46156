"""Served policies, guards, histories and recording, for every protocol."""
