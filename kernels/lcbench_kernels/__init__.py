"""Attention mechanisms as functions of tensors. Needs torch alone; each mechanism has a reference that defines it."""
