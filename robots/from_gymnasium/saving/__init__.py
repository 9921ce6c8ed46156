"""States of Gymnasium environments: what is saved, where, and what is refused."""
