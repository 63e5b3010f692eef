// Pre- and post-processing as engines next to the network: only a camera's planes go in and only labels come out.
//
// They are for frames of one kind, and equal the host's kernels within one grey level and but for near ties of scores.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "bundle.h"
#include "pixels/pixels.h"
#include "stages.h"

namespace evss {

class PixelStages {
 public:
  /// `slots` as for Clockwork. All must outlive this. Throws Error.
  PixelStages(const Bundle& bundle, const Variant& variant, const Stages& stages, const std::vector<int>& slots,
              int threads);
  PixelStages(const PixelStages&) = delete;
  PixelStages& operator=(const PixelStages&) = delete;

  /// Whether frames like this one are what the engines were made for.
  bool take(const FrameView& frame) const;
  /// Writes version `slot` of the image tensor. False: why is in `status`.
  bool load(const FrameView& frame, int slot, Status* status);
  /// Makes the label map of output `output`, (height, width) of the frames, from version `slot` of its tensor. `finite`
  /// becomes false where a score is not. False: why is in `status`.
  bool label(int output, int slot, uint8_t* labels, bool* finite, Status* status);

 private:
  // A tensor of ours on the backend, with a host copy where the host cannot see it.
  struct Memory {
    Memory(Backend& backend, const TensorDesc& tensor);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    bool copy_in(const uint8_t* plane, size_t row_bytes, ptrdiff_t stride, size_t rows);
    const void* host();  // the contents; nullptr: they could not be copied

    Backend& backend;
    size_t bytes;
    void* address;
    std::vector<uint8_t> staging;
  };
  struct Post {
    std::unique_ptr<Memory> labels, finite;  // `finite` is not there for tensors of labels
    std::unique_ptr<Engine> engine;
  };

  void make_pre(const Bundle& bundle, const Stages& stages, int slots, int threads);
  Post make_post(const Bundle& bundle, const Stages& stages, size_t output, int slots, int threads) const;

  const PixelEngines& engines_;
  const InputSpec& input_;
  Backend& backend_;
  std::vector<std::unique_ptr<Memory>> planes_;
  std::unique_ptr<Engine> pre_;
  std::vector<Post> posts_;  // by output
};

}  // namespace evss
