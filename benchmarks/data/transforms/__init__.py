"""Augmentation of batches of images on the training device."""
