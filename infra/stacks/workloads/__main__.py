"""The layer workloads of every cloud: see infra/layers/programs.py."""

from infra.layers.programs import main, workloads

main(workloads)
