"""Steps and runs as Kubernetes pods: what they ask for, and what keeps them from running, in plain words."""
