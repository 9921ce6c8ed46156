"""Exported policies: loading, metadata and inspection."""
