"""What a bundle learns from unlabelled or labelled video: clock thresholds, ranges, the accuracy gate."""

from edge_vss.calibration.clocks import ClockFit, fit_clocks, fit_threshold, max_age_for, record_signals

__all__ = ["ClockFit", "fit_clocks", "fit_threshold", "max_age_for", "record_signals"]
