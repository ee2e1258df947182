"""Floor 3, desks: each holds one kind of state, feeds the rules, and acts through ports. They import no adapter."""
