"""Video semantic segmentation for small machines: train, export stage by stage, run natively."""

__version__ = "0.1.0"
