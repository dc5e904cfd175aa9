"""From a checkpoint to verified model files: fold, convert, check."""
