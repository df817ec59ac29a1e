"""The layer platform of every cloud: see infra/layers/programs.py."""

from infra.layers.programs import main, platform

main(platform)
