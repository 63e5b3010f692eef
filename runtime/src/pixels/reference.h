// The pixel arithmetic of pixels.h once more, pixel by pixel and without any table, tile or shortcut: what the kernels
// are compared with. Slow.
#pragma once

#include "pixels.h"

namespace evss {

/// Preprocessor::run for all rows; the configuration must be one that `create` accepts.
void reference_preprocess(const PreprocessConfig& config, const FrameView& frame, void* dst);

/// ScoreUpsampler::run for all rows, every class computed at every pixel. `gap`, if not null, (out_height, out_width):
/// difference between the two best scores, in units of the last place of the larger magnitude.
void reference_upsample(const ScoreUpsamplerConfig& config, const void* scores, uint8_t* labels, float* gap);

/// overlay for all rows.
void reference_overlay(const uint8_t* palette_rgb, int count, double alpha, const OverlayArgs& args);

}  // namespace evss
