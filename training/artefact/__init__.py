"""From a checkpoint to the folder that workers serve."""
