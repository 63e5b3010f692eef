#include "bundle.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "error.h"

namespace evss {

namespace {

constexpr uint64_t kMaxManifest = uint64_t{64} << 20;
constexpr char kManifest[] = "manifest.json";

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Closer>;

std::string read_bytes(std::FILE* file, uint64_t bytes, const std::string& where) {
  std::string data(bytes, '\0');
  if (bytes && std::fread(&data[0], 1, bytes, file) != bytes) throw bad_bundle(where + ": cut short");
  return data;
}

uint64_t size_of(std::FILE* file, const std::string& where) {
  if (std::fseek(file, 0, SEEK_END) != 0) throw bad_bundle(where + ": cannot be read");
  const long end = std::ftell(file);
  if (end < 0) throw bad_bundle(where + ": cannot be read");
  std::rewind(file);
  return static_cast<uint64_t>(end);
}

class Folder : public BundleFiles {
 public:
  explicit Folder(std::string root) : root_(std::move(root)) {
    std::unique_ptr<char, decltype(&std::free)> real(realpath(root_.c_str(), nullptr), std::free);
    if (!real) throw bad_bundle(root_ + ": " + std::strerror(errno));
    real_root_ = real.get();
  }

  std::string read(const std::string& name, uint64_t limit) const override {
    const std::string path = root_ + "/" + name;
    // Links are followed, but only as far as the bundle reaches.
    std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), std::free);
    if (!real)
      throw bad_bundle(root_ + ": " + name +
                       (errno == ENOENT ? " is missing" : std::string(": ") + std::strerror(errno)));
    if (std::strncmp(real.get(), (real_root_ + "/").c_str(), real_root_.size() + 1) != 0) {
      throw bad_bundle(root_ + ": " + name + " leads out of the bundle");
    }
    struct stat info;
    if (stat(real.get(), &info) != 0 || !S_ISREG(info.st_mode))
      throw bad_bundle(root_ + ": " + name + " is not a file");
    const File file(std::fopen(real.get(), "rb"));
    if (!file) throw bad_bundle(root_ + ": " + name + ": " + std::strerror(errno));
    const uint64_t bytes = size_of(file.get(), root_ + ": " + name);
    if (bytes > limit)
      throw bad_bundle(root_ + ": " + name + " was changed after the bundle was written (larger than declared)");
    return read_bytes(file.get(), bytes, root_ + ": " + name);
  }

 private:
  std::string root_, real_root_;
};

uint64_t little(const char* at, int bytes) {
  uint64_t value = 0;
  for (int i = bytes - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(at[i]);
  return value;
}

// The central directory of a zip without compression, without zip64: bundles are far below 4 GiB.
class Zip : public BundleFiles {
 public:
  explicit Zip(std::string path) : path_(std::move(path)) {
    const File file = open();
    const uint64_t size = size_of(file.get(), path_);
    const uint64_t tail_size = size < 66000 ? size : 66000;
    std::fseek(file.get(), -static_cast<long>(tail_size), SEEK_END);
    const std::string tail = read_bytes(file.get(), tail_size, path_);
    const size_t end = tail.rfind(std::string("PK\5\6", 4));
    if (end == std::string::npos || end + 22 > tail.size()) throw bad_bundle(path_ + ": neither a folder nor a zip");
    const uint64_t count = little(&tail[end + 10], 2), bytes = little(&tail[end + 12], 4),
                   at = little(&tail[end + 16], 4);
    if (at + bytes > size) throw bad_bundle(path_ + ": broken zip");
    std::fseek(file.get(), static_cast<long>(at), SEEK_SET);
    parse(read_bytes(file.get(), bytes, path_), count);
  }

  std::string read(const std::string& name, uint64_t limit) const override {
    const auto found = entries_.find(name);
    if (found == entries_.end()) throw bad_bundle(path_ + ": " + name + " is missing");
    const Entry& entry = found->second;
    if (entry.method != 0)
      throw bad_bundle(path_ + ": " + name + " is compressed; a bundle is a folder or an uncompressed zip");
    if (entry.bytes > limit)
      throw bad_bundle(path_ + ": " + name + " was changed after the bundle was written (larger than declared)");
    const File file = open();
    std::fseek(file.get(), static_cast<long>(entry.at), SEEK_SET);
    const std::string head = read_bytes(file.get(), 30, path_);
    if (head.compare(0, 4, "PK\3\4", 4) != 0) throw bad_bundle(path_ + ": broken zip");
    std::fseek(file.get(), static_cast<long>(entry.at + 30 + little(&head[26], 2) + little(&head[28], 2)), SEEK_SET);
    return read_bytes(file.get(), entry.bytes, path_ + ": " + name);
  }

 private:
  struct Entry {
    uint64_t at = 0, bytes = 0;
    int method = 0;
  };

  File open() const {
    File file(std::fopen(path_.c_str(), "rb"));
    if (!file) throw bad_bundle(path_ + ": " + std::strerror(errno));
    return file;
  }

  void parse(const std::string& directory, uint64_t count) {
    size_t at = 0;
    for (uint64_t i = 0; i < count; ++i) {
      if (at + 46 > directory.size() || directory.compare(at, 4, "PK\1\2", 4) != 0)
        throw bad_bundle(path_ + ": broken zip");
      const char* head = &directory[at];
      const size_t name = little(head + 28, 2), more = little(head + 30, 2) + little(head + 32, 2);
      if (at + 46 + name > directory.size()) throw bad_bundle(path_ + ": broken zip");
      Entry entry;
      entry.method = static_cast<int>(little(head + 10, 2));
      entry.bytes = little(head + 20, 4);
      entry.at = little(head + 42, 4);
      entries_[directory.substr(at + 46, name)] = entry;
      at += 46 + name + more;
    }
  }

  std::string path_;
  std::map<std::string, Entry> entries_;
};

std::unique_ptr<BundleFiles> open_files(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) throw bad_bundle(path + ": no such bundle");
  if (S_ISDIR(info.st_mode)) return std::make_unique<Folder>(path);
  if (!S_ISREG(info.st_mode)) throw bad_bundle(path + ": neither a folder nor a zip");  // a pipe may never be opened
  return std::make_unique<Zip>(path);
}

}  // namespace

Bundle::Bundle(const std::string& path) : path_(path), files_(open_files(path)) {
  const std::string text = files_->read(kManifest, kMaxManifest);
  try {
    manifest_ = parse_manifest(text);
  } catch (const Error& error) {
    throw bad_bundle(path_ + "/" + error.what());
  }
}

std::string Bundle::read(const std::string& name) const {
  const FileRecord& record = manifest_.files.at(name);
  std::string data = files_->read(name, record.bytes);
  if (data.size() != record.bytes || sha256_hex(data.data(), data.size()) != record.sha256) {
    throw bad_bundle(path_ + ": " + name + " was changed after the bundle was written (size or sha256 differs)");
  }
  return data;
}

void Bundle::check_files() const {
  for (const auto& item : manifest_.files) read(item.first);
}

}  // namespace evss
