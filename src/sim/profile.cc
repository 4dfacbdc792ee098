#include "sim/profile.hh"

#include <cJSON.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/text.hh"
#include "sim/plan.hh"

namespace swarm::sim {

namespace {

constexpr std::size_t file_bytes_max = 1u << 20;
constexpr std::size_t kinds_max = 64;
constexpr std::uint32_t weight_max = 1'000'000;
constexpr std::uint64_t burst_max = 1u << 30;
constexpr std::uint32_t header_bytes_max = 1000;
constexpr std::uint64_t mbit = 125'000;  // bytes/s

struct Free {
  void operator()(cJSON* tree) const { cJSON_Delete(tree); }
};

/// Reads the fields of one file; the first fault sticks, with its place.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {}

  NodeKind kind(const cJSON* object, const std::string& where) {
    NodeKind out;
    if (!cJSON_IsObject(object)) return wrong(where, "an object"), out;
    for (const cJSON* field = object->child; field != nullptr; field = field->next) {
      const std::string_view key = field->string;
      const auto here = fmt::format("{}.{}", where, printable(key));
      if (key == "name") {
        out.name = text(field, here);
      } else if (key == "share") {
        const double n = cJSON_IsNumber(field) ? field->valuedouble : 0;
        if (!(n >= 1 && n <= weight_max)) wrong(here, "a number from 1");
        out.weight = static_cast<std::uint32_t>(std::clamp<double>(n, 1, weight_max));
      } else if (key == "up" || key == "down") {
        auto& into = key == "up" ? out.up : out.down;
        into = range<std::uint64_t>(field, here, parse_rate, "a rate above 0, e.g. \"100Mbit\"");
        if (into.least == 0) wrong(here, "a rate above 0, e.g. \"100Mbit\"");
      } else if (key == "rtt") {
        out.round_trip = range<Duration>(field, here, parse_duration, "a duration, e.g. \"20ms\"");
      } else if (key == "jitter") {
        const auto jitter = parse_duration(text(field, here));
        if (!jitter) wrong(here, "a duration, e.g. \"2ms\"");
        out.jitter = jitter.value_or(Duration{});
      } else if (key == "loss") {
        const auto share = parse_share(text(field, here));
        if (!share || *share >= 1) wrong(here, "a share below 100%, e.g. \"0.5%\"");
        out.loss = share.value_or(0);
      } else if (key == "burst") {
        const auto burst = parse_size(text(field, here));
        if (!burst || *burst > burst_max) wrong(here, "a size up to 1GiB, e.g. \"128KiB\"");
        out.burst = burst.value_or(0);
      } else {
        wrong(here, "one of name, share, up, down, rtt, jitter, loss, burst");
      }
    }
    if (out.up.least == 0) wrong(where, "up and down");
    if (out.down.least == 0) wrong(where, "up and down");
    return out;
  }

  void wrong(const std::string& where, std::string_view expected) {
    if (fault_.empty()) fault_ = fmt::format("{}: {}: expected {}", printable(name_), where, expected);
  }
  const std::string& fault() const { return fault_; }

 private:
  std::string text(const cJSON* field, const std::string& where) {
    if (!cJSON_IsString(field)) return wrong(where, "a text"), std::string();
    return field->valuestring;
  }

  template <class T>
  Range<T> range(const cJSON* field, const std::string& where, std::optional<T> (*parse)(std::string_view),
                 std::string_view expected) {
    const auto one = [&](const cJSON* item) {
      const auto value = cJSON_IsString(item) ? parse(item->valuestring) : std::nullopt;
      if (!value) wrong(where, expected);
      return value.value_or(T{});
    };
    if (!cJSON_IsArray(field)) {
      const T value = one(field);
      return {value, value};
    }
    if (cJSON_GetArraySize(field) != 2) return wrong(where, "a value or a list of two"), Range<T>{};
    const Range<T> out{one(cJSON_GetArrayItem(field, 0)), one(cJSON_GetArrayItem(field, 1))};
    if (out.most < out.least) wrong(where, "the lesser value first");
    return out;
  }

  std::string name_, fault_;
};

std::uint64_t draw(const Range<std::uint64_t>& range, Random& random) {
  return range.least + random.below(range.most - range.least + 1);
}

}  // namespace

const NodeKind& Profile::kind_of(std::uint32_t node, std::uint32_t nodes) const {
  std::uint64_t all = 0, before = 0;
  for (const NodeKind& kind : kinds) all += kind.weight;
  for (const NodeKind& kind : kinds) {
    before += kind.weight;
    // The middle of the node's place among all, against the end of the kind's.
    if ((2 * std::uint64_t{node} + 1) * all < 2 * before * nodes) return kind;
  }
  return kinds.back();
}

std::optional<Profile> known_profile(std::string_view name) {
  if (name == "lan") {
    return Profile{"lan", {{"host", 1, {1000 * mbit, 1000 * mbit}, {1000 * mbit, 1000 * mbit}, {1ms, 1ms}}}, {}, {}};
  }
  if (name == "wan") {
    const NodeKind node{"site", 1, {10 * mbit, 100 * mbit}, {50 * mbit, 200 * mbit}, {20ms, 200ms}, 2ms, 0.005};
    const NodeKind seed{"seed", 1, {100 * mbit, 100 * mbit}, {200 * mbit, 200 * mbit}, {20ms, 20ms}, 2ms, 0.005};
    return Profile{"wan", {node}, seed, {}};
  }
  if (name == "mixed") {
    return Profile{"mixed",
                   {{"rack", 5, {1000 * mbit, 1000 * mbit}, {1000 * mbit, 1000 * mbit}, {1ms, 2ms}},
                    {"office", 3, {100 * mbit, 100 * mbit}, {100 * mbit, 500 * mbit}, {5ms, 20ms}, 1ms, 0.0005},
                    {"home", 2, {10 * mbit, 40 * mbit}, {50 * mbit, 200 * mbit}, {20ms, 60ms}, 3ms, 0.002}},
                   NodeKind{"seed", 1, {1000 * mbit, 1000 * mbit}, {1000 * mbit, 1000 * mbit}, {1ms, 1ms}},
                   {}};
  }
  return std::nullopt;
}

Result<Profile> profile_from_json(std::string_view text, std::string name) {
  const auto bad = [&](const std::string& why) {
    return fail(Exit::usage, "bad_profile", why, "The man page shows a profile, under SIMULATE");
  };
  if (text.size() > file_bytes_max) return bad(fmt::format("{}: more than 1 MiB", printable(name)));
  // Three levels are all that a profile has; cJSON itself stops at a thousand.
  const std::unique_ptr<cJSON, Free> root(cJSON_ParseWithLength(text.data(), text.size()));
  if (!cJSON_IsObject(root.get())) return bad(fmt::format("{}: not a JSON object", printable(name)));
  Profile out{name, {}, {}, {}};
  Reader reader(std::move(name));
  for (const cJSON* field = root->child; field != nullptr; field = field->next) {
    const std::string_view key = field->string;
    if (key == "seeds") {
      out.seeds = reader.kind(field, "seeds");
    } else if (key == "nodes" && cJSON_IsArray(field)) {
      for (const cJSON* kind = field->child; kind != nullptr && out.kinds.size() < kinds_max; kind = kind->next) {
        out.kinds.push_back(reader.kind(kind, fmt::format("nodes[{}]", out.kinds.size())));
      }
    } else if (key == "header_bytes") {
      const double n = cJSON_IsNumber(field) ? field->valuedouble : -1;
      if (!(n >= 0 && n <= header_bytes_max)) reader.wrong("header_bytes", "a number up to 1000");
      out.header_bytes = static_cast<std::uint32_t>(std::clamp<double>(n, 0, header_bytes_max));
    } else {
      reader.wrong(printable(key), "a list nodes and an object seeds");
    }
  }
  if (out.kinds.empty()) reader.wrong("nodes", "a list of kinds of nodes");
  if (!reader.fault().empty()) return bad(reader.fault());
  return out;
}

Line draw_line(const NodeKind& kind, Random& random) {
  const std::uint64_t up = draw(kind.up, random), down = draw(kind.down, random);
  const Range<std::uint64_t> round_trip{static_cast<std::uint64_t>(kind.round_trip.least.count()),
                                        static_cast<std::uint64_t>(kind.round_trip.most.count())};
  const Duration delay(static_cast<Duration::rep>(draw(round_trip, random) / 4));
  Line line{up, down, delay};
  line.jitter = kind.jitter;
  line.loss = kind.loss;
  line.burst = kind.burst;
  return line;
}

}  // namespace swarm::sim
