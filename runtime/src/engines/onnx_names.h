// The names of an ONNX file's inputs and outputs, in the file's order.
#pragma once

#include <string>
#include <vector>

namespace evss {

struct OnnxNames {
  std::vector<std::string> inputs, outputs;
};

/// Reads just these names from the bytes of a model. False: the bytes are not an ONNX model.
bool read_onnx_names(const std::string& model, OnnxNames* names);

}  // namespace evss
