// The pieces of manifest reading that several files share.
#pragma once

#include <set>
#include <string>

#include "fields.h"
#include "manifest.h"

namespace evss {

constexpr int64_t kAnyInt = int64_t{1} << 53;

/// Throws Error unless `name` is a letter followed by letters, digits or '_.-'.
void check_name(const std::string& kind, const std::string& name);

/// Checks the names of a list of things and that no two are equal.
template <class List>
void check_names(const std::string& kind, const List& list) {
  if (list.empty()) throw bad_bundle("there is no " + kind);
  std::set<std::string> seen;
  for (const auto& item : list) {
    check_name(kind, item.name);
    if (!seen.insert(item.name).second) throw bad_bundle("two " + kind + "s are called '" + item.name + "'");
  }
}

evss_dtype read_dtype(Fields& fields, const char* key, int otherwise = -1);
int tensor_named(const Graph& graph, const std::string& name, const std::string& where);
Graph read_graph(const Json& json);
/// Also plays the schedule without data; see check_schedule.
Schedule read_schedule(const Json& json, const Graph& graph);

}  // namespace evss
