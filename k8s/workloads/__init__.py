"""What runs in the cluster, as pure functions of the contract: rendered without a template, a cloud or a cluster."""
