"""Which questions a shortcut answers, with evidence, with and without event logs."""
