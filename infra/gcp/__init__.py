"""The platform on Google Cloud. Each file builds the capability of its name; infra/blueprint.py gives the order."""
