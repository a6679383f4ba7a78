"""One file a family of layers: how it runs, and what its backward pass tells of each unit."""
