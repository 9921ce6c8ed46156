"""Pictures of simulators, drawn without a window."""
