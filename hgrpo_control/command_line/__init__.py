"""What all commands share: parsing, output and interruption."""
