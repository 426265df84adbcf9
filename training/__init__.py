"""Data set, training, export and evaluation of the model; the only package that may load torch."""
