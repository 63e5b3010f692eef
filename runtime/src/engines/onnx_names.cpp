#include "onnx_names.h"

#include <algorithm>
#include <cstdint>

namespace evss {

namespace {

// Where onnx.proto keeps what is read here.
constexpr uint32_t kModelGraph = 7, kGraphInitializer = 5, kGraphInput = 11, kGraphOutput = 12;
constexpr uint32_t kTensorName = 8, kValueName = 1;

// Walks the fields of one protobuf message; every length is checked against the bytes that are there.
class Message {
 public:
  Message(const char* begin, const char* end) : next_(begin), end_(end) {}

  /// The next length-delimited field; others are stepped over. False: the end, or broken bytes (see good()).
  bool next(uint32_t* field, Message* value) {
    while (next_ < end_) {
      uint64_t key = 0, size = 0;
      if (!varint(&key)) return false;
      const uint32_t wire = key & 7;
      if (wire == 0) {
        if (!varint(&size)) return false;
      } else if (wire == 1 || wire == 5) {
        if (!skip(wire == 1 ? 8 : 4)) return false;
      } else if (wire == 2) {
        const char* begin = varint(&size) ? next_ : end_;
        if (!good_ || !skip(size)) return false;
        *field = static_cast<uint32_t>(key >> 3);
        *value = Message(begin, next_);
        return true;
      } else {
        return good_ = false;
      }
    }
    return false;
  }
  bool good() const { return good_; }
  std::string text() const { return std::string(next_, end_); }

 private:
  bool varint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && next_ < end_; shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(*next_++);
      *value |= uint64_t{byte & 127u} << shift;
      if (byte < 128) return true;
    }
    return good_ = false;
  }
  bool skip(uint64_t bytes) {
    if (bytes > static_cast<uint64_t>(end_ - next_)) return good_ = false;
    next_ += bytes;
    return true;
  }

  const char* next_;
  const char* end_;
  bool good_ = true;
};

bool read_name(Message message, uint32_t wanted, std::vector<std::string>* names) {
  Message value(nullptr, nullptr);
  for (uint32_t field = 0; message.next(&field, &value);) {
    if (field == wanted) names->push_back(value.text());
  }
  return message.good();
}

}  // namespace

bool read_onnx_names(const std::string& model, OnnxNames* names) {
  Message top(model.data(), model.data() + model.size()), graph(nullptr, nullptr), value(nullptr, nullptr);
  uint32_t field = 0;
  while (top.next(&field, &graph) && field != kModelGraph) continue;
  if (!top.good() || field != kModelGraph) return false;
  std::vector<std::string> weights;
  while (graph.next(&field, &value)) {
    bool good = true;
    if (field == kGraphInput) good = read_name(value, kValueName, &names->inputs);
    if (field == kGraphOutput) good = read_name(value, kValueName, &names->outputs);
    if (field == kGraphInitializer) good = read_name(value, kTensorName, &weights);
    if (!good) return false;
  }
  // Old files list their weights among the inputs as well.
  const auto is_weight = [&](const std::string& name) {
    return std::find(weights.begin(), weights.end(), name) != weights.end();
  };
  names->inputs.erase(std::remove_if(names->inputs.begin(), names->inputs.end(), is_weight), names->inputs.end());
  return graph.good() && !names->outputs.empty();
}

}  // namespace evss
