"""Access control put together: the policy file, its words, actions, runs and simulations."""
