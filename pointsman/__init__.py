"""What programs outside the platform import: `pointsman.client`."""
