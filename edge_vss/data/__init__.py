"""Where frames and labels come from: the generated street, data set readers, sources by URI, writers.

numpy and PyAV only, so that a device has all of it: ``datasets.open_dataset``, ``sources.open_source``,
``street.StreetWorld``, ``generate.generate``, ``video.VideoWriter``, ``video.write_png``, ``colour.to_rgb``.
"""
