"""What all doubles of ticketing systems share: who may call, how often, what goes wrong, and the server's date."""
