"""One task per file, all flown by the same quadrotor."""
