"""Who may decide in Wild Mode: rules alone, a model, or both together."""
