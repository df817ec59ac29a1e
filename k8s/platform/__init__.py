"""What the workloads lean on in the cluster: charts by name and version, and what joins them to the cloud."""
