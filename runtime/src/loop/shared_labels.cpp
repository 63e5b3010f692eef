#include "shared_labels.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "error.h"

namespace evss {

namespace {

constexpr uint32_t kSlots = 4, kLine = 64;

uint32_t rounded(size_t bytes) { return static_cast<uint32_t>((bytes + kLine - 1) / kLine * kLine); }

Error refused(const std::string& name, const std::string& why) {
  return Error(EVSS_INVALID_ARGUMENT, "shared memory '" + name + "': " + why);
}

}  // namespace

SharedLabels::SharedLabels(const std::string& name, uint32_t height, uint32_t width, const evss_output_info& output)
    : name_("/" + name) {
  if (name.empty() || name.size() > 200 || name.find('/') != std::string::npos || name[0] == '.')
    throw refused(name, "want a name of 1..200 characters without '/'");
  refuse_living_writer();
  evss_shm_header header;
  std::memset(&header, 0, sizeof header);
  header.header_bytes = sizeof header;
  header.first_slot = rounded(sizeof header);
  header.num_slots = kSlots;
  header.labels_offset = rounded(sizeof(evss_shm_slot));
  header.slot_bytes = rounded(header.labels_offset + size_t{height} * width);
  header.height = height;
  header.width = width;
  header.num_classes = output.num_classes;
  header.writer_pid = static_cast<uint32_t>(getpid());
  std::snprintf(header.output, sizeof header.output, "%s", output.name);
  std::memcpy(header.colours, output.colours, 3 * size_t{std::min<uint32_t>(output.num_classes, EVSS_SHM_CLASSES)});
  bytes_ = header.first_slot + size_t{kSlots} * header.slot_bytes;
  shm_unlink(name_.c_str());
  const int file = shm_open(name_.c_str(), O_CREAT | O_EXCL | O_RDWR, 0644);
  if (file < 0) throw refused(name, std::strerror(errno));
  // Room is taken now: memory that runs out later would end the process.
  const int full = posix_fallocate(file, 0, static_cast<off_t>(bytes_));
  void* mapped = full ? MAP_FAILED : mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const std::string why = std::strerror(full ? full : errno);
  ::close(file);
  if (mapped == MAP_FAILED) {
    shm_unlink(name_.c_str());
    throw refused(name, why);
  }
  segment_ = static_cast<uint8_t*>(mapped);
  std::memcpy(segment_, &header, sizeof header);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  std::memcpy(segment_, EVSS_SHM_MAGIC, sizeof header.magic);
}

void SharedLabels::refuse_living_writer() const {
  const int file = shm_open(name_.c_str(), O_RDONLY, 0);
  if (file < 0) return;
  evss_shm_header header;
  const bool ours = pread(file, &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header) &&
                    std::memcmp(header.magic, EVSS_SHM_MAGIC, sizeof header.magic) == 0;
  ::close(file);
  if (!ours) throw refused(name_.substr(1), "exists and is not ours; choose another name");
  const bool alive = kill(static_cast<pid_t>(header.writer_pid), 0) == 0 || errno == EPERM;
  if (alive && !header.closed) {
    throw refused(name_.substr(1), "process " + std::to_string(header.writer_pid) + " writes to it");
  }
}

SharedLabels::~SharedLabels() {
  __atomic_store_n(&reinterpret_cast<evss_shm_header*>(segment_)->closed, 1u, __ATOMIC_RELEASE);
  munmap(segment_, bytes_);
  shm_unlink(name_.c_str());
}

bool SharedLabels::write(const evss_result& result, const evss_label_map& map) {
  evss_shm_header& header = *reinterpret_cast<evss_shm_header*>(segment_);
  if (map.height != header.height || map.width != header.width) return false;
  const uint64_t number = header.published;
  uint8_t* place = segment_ + header.first_slot + (number % kSlots) * header.slot_bytes;
  evss_shm_slot& slot = *reinterpret_cast<evss_shm_slot*>(place);
  const uint64_t done = 2 * (number / kSlots + 1);
  __atomic_store_n(&slot.lock, done - 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  slot.sequence = result.sequence;
  slot.pts_us = result.pts_us;
  slot.captured_ns = result.captured_ns;
  slot.done_ns = result.done_ns;
  slot.flags = result.flags;
  slot.age_frames = map.age_frames;
  for (uint32_t row = 0; row < map.height; ++row) {
    std::memcpy(place + header.labels_offset + size_t{row} * map.width, map.labels + size_t{row} * map.stride,
                map.width);
  }
  __atomic_store_n(&slot.lock, done, __ATOMIC_RELEASE);
  __atomic_store_n(&header.published, number + 1, __ATOMIC_RELEASE);
  return true;
}

}  // namespace evss
