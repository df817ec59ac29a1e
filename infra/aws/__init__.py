"""The platform on AWS. Each file builds the capability of its name; infra/blueprint.py gives the order."""
