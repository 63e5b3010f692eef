// Reading the files of a bundle: a folder, or an uncompressed zip of one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "manifest.h"

namespace evss {

/// Where the bytes of a bundle come from.
class BundleFiles {
 public:
  virtual ~BundleFiles() = default;
  /// The whole file; throws Error where it is missing, unreadable or over `limit` bytes.
  virtual std::string read(const std::string& name, uint64_t limit) const = 0;
};

class Bundle {
 public:
  /// Opens the bundle and checks its manifest. Throws Error.
  explicit Bundle(const std::string& path);
  const Manifest& manifest() const { return manifest_; }
  /// The bytes of one of the manifest's files, after size and digest were checked. Throws Error.
  std::string read(const std::string& name) const;
  void check_files() const;

 private:
  std::string path_;
  std::unique_ptr<BundleFiles> files_;
  Manifest manifest_;
};

/// Lower-case hexadecimal SHA-256 (FIPS 180-4).
std::string sha256_hex(const void* data, size_t bytes);

}  // namespace evss
