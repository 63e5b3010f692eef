"""What a bundle learns from video: clock thresholds; later activation ranges and the accuracy gate."""

from edge_vss.calibration.clocks import ClockReport, calibrate_clock, fit_clocks, record_signals
from edge_vss.calibration.thresholds import ClockFit, fit_threshold

__all__ = ["ClockFit", "ClockReport", "calibrate_clock", "fit_clocks", "fit_threshold", "record_signals"]
