"""The rigid body, its parameters and what is randomised."""
