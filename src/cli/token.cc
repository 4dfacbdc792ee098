#include "cli/token.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/text.hh"
#include "uv/descriptor.hh"

namespace swarm::cli {

namespace {

constexpr std::size_t token_bytes_min = 8, token_bytes_max = 1024;

std::string_view trimmed(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

Result<std::string> read_token(const Options& options) {
  const auto& path = options.token_file;
  if (path.empty()) return std::string();
  std::array<char, 2 * token_bytes_max> bytes{};
  std::size_t count = 0;
  // Not only regular files: a secret may come through a pipe, "--token-file <(pass show swarm)".
  const uv::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ssize_t n = file ? 1 : -1;
  while (n > 0 && count < bytes.size()) {
    n = ::read(file.get(), bytes.data() + count, bytes.size() - count);
    if (n < 0 && errno == EINTR)
      n = 1;
    else if (n > 0)
      count += static_cast<std::size_t>(n);
  }
  if (n < 0) {
    return fail(errno == ENOENT ? Exit::not_found : Exit::disk, "token_file",
                fmt::format("--token-file: cannot read {}: {}", printable(path), std::strerror(errno)));
  }
  const auto token = trimmed({bytes.data(), count});
  const bool plain = std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7f; });
  if (token.size() >= token_bytes_min && token.size() <= token_bytes_max && plain) return std::string(token);
  return fail(Exit::usage, "token_file", fmt::format("--token-file: the first line of {} is no token", printable(path)),
              "Use 8 to 1024 letters, digits and signs without spaces, e.g. from 'openssl rand -hex 32'");
}

}  // namespace swarm::cli
