"""Our own small networks, all natively TrigFlow with form "F", and their trainable copies."""
