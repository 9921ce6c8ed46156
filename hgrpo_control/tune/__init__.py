"""Search for settings with Optuna: spaces, trials, studies that workers share, and reports."""
