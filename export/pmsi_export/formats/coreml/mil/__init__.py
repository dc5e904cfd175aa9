"""Core ML packages without Core ML: their specification and weights, and a reference evaluator of MIL programs."""
