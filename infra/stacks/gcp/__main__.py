"""The whole deployment of the cloud side: see infra/blueprint.py."""

from infra.blueprint import main

main()
