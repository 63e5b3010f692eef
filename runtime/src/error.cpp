#include "error.h"

#include <cctype>

namespace evss {

namespace {

constexpr size_t kMaxQuoted = 80, kMaxMessage = 600;
constexpr char kEllipsis[] = "\xE2\x80\xA6";

// Bytes of a cut UTF-8 character are left out as well.
size_t whole_characters(const std::string& text, size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

bool is_word(const std::string& text, size_t at) {
  return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at]));
}

}  // namespace

std::string shortened(const std::string& message) {
  std::string text;
  size_t at = 0;
  while (at < message.size()) {
    const bool opens = message[at] == '\'' && (at == 0 || !is_word(message, at - 1));
    const size_t end = opens ? message.find('\'', at + 1) : std::string::npos;
    if (end != std::string::npos && end - at - 1 > kMaxQuoted && !is_word(message, end + 1)) {
      text.append(message, at, whole_characters(message, at + kMaxQuoted) - at).append(kEllipsis).append("'");
      at = end + 1;
    } else {
      text += message[at++];
    }
  }
  if (text.size() <= kMaxMessage) return text;
  const size_t head = whole_characters(text, kMaxMessage * 2 / 3);
  const size_t tail = whole_characters(text, text.size() - kMaxMessage / 3 + 8);
  return text.substr(0, head) + " " + kEllipsis + " " + text.substr(tail);
}

}  // namespace evss
