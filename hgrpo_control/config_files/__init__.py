"""Settings dataclasses from tables and TOML or JSON files, and back."""
