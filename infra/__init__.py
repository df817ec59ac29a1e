"""The cloud side of the platform: one blueprint, three clouds, one contract."""
