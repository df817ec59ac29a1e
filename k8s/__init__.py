"""What runs in the cluster: pure functions of the contract (workloads, platform), and what they render (rendered)."""
