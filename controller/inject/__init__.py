"""What is added to a pod so that its artifacts are collected: pure, a pod in, a pod out. Start at `injection`."""
