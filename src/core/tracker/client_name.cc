#include "core/tracker/client_name.hh"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace swarm::core {
namespace {

using Code = std::pair<std::string_view, std::string_view>;

/// Behind a dash at the start: "-TR3000-".
constexpr std::array<Code, 29> dashed = {{
    {"AG", "Ares"},   {"AZ", "Vuze"},     {"BC", "BitComet"},    {"BI", "BiglyBT"},      {"BT", "BitTorrent"},
    {"DE", "Deluge"}, {"FD", "FDM"},      {"FW", "FrostWire"},   {"GT", "anacrolix"},    {"HL", "Halite"},
    {"KG", "KGet"},   {"KT", "KTorrent"}, {"LT", "libtorrent"},  {"MO", "MonoTorrent"},  {"PI", "PicoTorrent"},
    {"RQ", "rqbit"},  {"SD", "Xunlei"},   {"SW", "swarm"},       {"TL", "Tribler"},      {"TR", "Transmission"},
    {"TX", "Tixati"}, {"UM", "uTorrent"}, {"UT", "uTorrent"},    {"UW", "uTorrent Web"}, {"WW", "WebTorrent"},
    {"XL", "Xunlei"}, {"lt", "rTorrent"}, {"qB", "qBittorrent"}, {"rQ", "rqbit"},
}};
/// At the very start: "A2-1-36-0-".
constexpr std::array<Code, 4> bare = {
    {{"A2-", "aria2"}, {"M7-", "BitTorrent"}, {"M4-", "BitTorrent"}, {"exbc", "BitComet"}}};

bool is_code(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); });
}

}  // namespace

std::string client_name(const PeerId& id) {
  const auto text = as_text(id.view());
  for (const auto& [code, name] : bare) {
    if (text.starts_with(code)) return std::string(name);
  }
  const auto code = text.substr(1, 2);
  if (text[0] != '-' || !is_code(code)) return "unknown";
  const auto found = std::ranges::find(dashed, code, &Code::first);
  return std::string(found == dashed.end() ? code : found->second);
}

}  // namespace swarm::core
