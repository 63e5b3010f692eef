// Strict reading of JSON objects: every field known, of the right type, and in its place.
#pragma once

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "error.h"

namespace evss {

using Json = nlohmann::json;

class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) throw bad_bundle(where_ + ": expected an object");
  }

  const Json& get(const char* key) {
    seen_.insert(key);
    const auto found = object_.find(key);
    if (found == object_.end()) throw bad_bundle(where_ + ": field '" + key + "' is missing");
    return *found;
  }
  const Json* find(const char* key) {
    seen_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  std::string path(const char* key) const { return where_ + "." + key; }

  std::string text(const char* key) { return as_text(get(key), path(key)); }
  std::string text(const char* key, const char* otherwise) {
    const Json* found = find(key);
    return found ? as_text(*found, path(key)) : otherwise;
  }
  int64_t whole(const char* key, int64_t low, int64_t high) { return as_whole(get(key), low, high, path(key)); }
  int64_t whole(const char* key, int64_t low, int64_t high, int64_t otherwise) {
    const Json* found = find(key);
    return found ? as_whole(*found, low, high, path(key)) : otherwise;
  }
  double number(const char* key) { return as_number(get(key), path(key)); }
  double number(const char* key, double otherwise) {
    const Json* found = find(key);
    return found ? as_number(*found, path(key)) : otherwise;
  }
  bool flag(const char* key, bool otherwise) {
    const Json* found = find(key);
    if (found && !found->is_boolean()) throw bad_bundle(path(key) + ": expected true or false");
    return found ? found->get<bool>() : otherwise;
  }
  const Json& list(const char* key) { return as_list(get(key), path(key)); }
  const Json& list_or_empty(const char* key) {
    static const Json kEmpty = Json::array();
    const Json* found = find(key);
    return found ? as_list(*found, path(key)) : kEmpty;
  }
  const Json& object_or_empty(const char* key) {
    static const Json kEmpty = Json::object();
    const Json* found = find(key);
    if (found && !found->is_object()) throw bad_bundle(path(key) + ": expected an object");
    return found ? *found : kEmpty;
  }
  /// Index of the field's text among `names`.
  int choice(const char* key, const std::vector<const char*>& names, int otherwise = -1) {
    const Json* found = otherwise >= 0 ? find(key) : &get(key);
    if (!found) return otherwise;
    const std::string value = as_text(*found, path(key));
    for (size_t i = 0; i < names.size(); ++i) {
      if (value == names[i]) return static_cast<int>(i);
    }
    throw bad_bundle(path(key) + ": '" + value + "' is not known");
  }
  /// Call last: refuses fields that nobody asked for.
  void done() const {
    for (const auto& item : object_.items()) {
      if (!seen_.count(item.key())) throw bad_bundle(where_ + ": field '" + item.key() + "' is not known");
    }
  }

  static std::string as_text(const Json& value, const std::string& where) {
    if (!value.is_string()) throw bad_bundle(where + ": expected text");
    return value.get<std::string>();
  }
  static int64_t as_whole(const Json& value, int64_t low, int64_t high, const std::string& where) {
    const bool whole = value.is_number_integer();
    const bool fits = whole && (!value.is_number_unsigned() ||
                                value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    if (!fits || value.get<int64_t>() < low || value.get<int64_t>() > high) {
      throw bad_bundle(where + ": expected a whole number in " + std::to_string(low) + ".." + std::to_string(high));
    }
    return value.get<int64_t>();
  }
  static double as_number(const Json& value, const std::string& where) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) throw bad_bundle(where + ": expected a number");
    return value.get<double>();
  }
  static const Json& as_list(const Json& value, const std::string& where) {
    if (!value.is_array()) throw bad_bundle(where + ": expected a list");
    return value;
  }

 private:
  const Json& object_;
  std::string where_;
  std::set<std::string> seen_;
};

}  // namespace evss
