// Plays the cases that make_cases.py wrote, through the C functions alone, and compares every frame with the trace of
// the reference executor. Meant to run under the address and thread sanitizers.
#include <edge_vss.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

uint64_t fnv(const std::vector<char>& data) {
  uint64_t value = 0xcbf29ce484222325;
  for (char byte : data) value = (value ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return value;
}

struct Output {
  std::string name;
  size_t bytes;
};

std::string describe(evss_pipeline* pipeline, const std::vector<Output>& outputs, const evss_result& result) {
  std::string fired, ages, values;
  for (uint32_t i = 0; i < result.num_stages; ++i) {
    fired += result.stages[i].fired ? "1" : "0";
    ages += (i ? "," : "") + std::to_string(result.stages[i].age_frames);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::vector<char> value(outputs[i].bytes);
    if (evss_read_tensor(pipeline, outputs[i].name.c_str(), value.data(), value.size()) != EVSS_OK)
      return evss_last_error();
    char text[64];
    std::snprintf(text, sizeof text, "%s%u:%016llx", i ? "," : "", result.outputs[i].age_frames,
                  static_cast<unsigned long long>(fnv(value)));
    values += text;
  }
  return fired + " " + ages + " " + values;
}

template <class T>
T take(std::ifstream& file) {
  T value{};
  file.read(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

int play(const std::string& folder, uint32_t threads) {
  std::ifstream frames(folder + "/frames.bin", std::ios::binary), trace(folder + "/trace.txt");
  std::string line, token;
  std::getline(trace, line);
  std::vector<Output> outputs;
  for (std::istringstream words(line); words >> token;) {
    outputs.push_back({token.substr(0, token.find(':')), std::stoul(token.substr(token.find(':') + 1))});
  }
  evss_options options;
  evss_options_init(&options);
  options.threads = threads;
  evss_pipeline* pipeline = nullptr;
  if (evss_pipeline_open((folder + "/bundle").c_str(), &options, &pipeline) != EVSS_OK) {
    std::fprintf(stderr, "%s: %s\n", folder.c_str(), evss_last_error());
    return 1;
  }
  int failed = 0;
  const int count = take<int32_t>(frames), height = take<int32_t>(frames), width = take<int32_t>(frames);
  std::vector<uint8_t> pixels(static_cast<size_t>(height) * width * 3);
  for (int index = 0; index < count && !failed; ++index) {
    evss_frame frame;
    evss_frame_init(&frame);
    if (take<int32_t>(frames)) evss_reset(pipeline);
    frame.sequence = static_cast<uint64_t>(take<int64_t>(frames));
    frame.pts_us = take<int64_t>(frames);
    frames.read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(pixels.size()));
    frame.format = EVSS_RGB;
    frame.height = static_cast<uint32_t>(height);
    frame.width = static_cast<uint32_t>(width);
    frame.planes[0] = pixels.data();
    frame.strides[0] = frame.width * 3;
    evss_result result;
    result.struct_size = sizeof result;
    std::getline(trace, line);
    std::string got = "no result";
    if (evss_send_frame(pipeline, &frame) == EVSS_OK && evss_receive(pipeline, &result) == EVSS_OK)
      got = describe(pipeline, outputs, result);
    if (got != line) {
      std::fprintf(stderr, "%s, %u threads, frame %d\n  want %s\n  got  %s %s\n", folder.c_str(), threads, index,
                   line.c_str(), got.c_str(), evss_last_error());
      failed = 1;
    }
  }
  evss_pipeline_close(&pipeline);
  return failed;
}

}  // namespace

int main(int argc, char** argv) {
  int passed = 0, failed = 0;
  for (int i = 1; i < argc; ++i) {
    for (uint32_t threads : {1u, 3u}) (play(argv[i], threads) ? failed : passed) += 1;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed || !passed;
}
