"""Events to other systems: what is told, and the buses that carry it. The platform works without any of them."""
