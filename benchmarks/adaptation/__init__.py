"""What a policy with memory finds out in flight, and how it copes with a rotor that gets weak."""
