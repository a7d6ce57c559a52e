"""Photographs with labels: reading, the embedded scenes, batches and augmentation."""
