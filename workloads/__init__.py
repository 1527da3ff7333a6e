"""What runs on it: the digits network and its training."""
