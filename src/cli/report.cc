#include "cli/report.hh"

#include <cJSON.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>

#include "base/text.hh"
#include "cli/file_choice.hh"

namespace swarm::cli {

namespace {

struct Free {
  void operator()(cJSON* tree) const { cJSON_Delete(tree); }
  void operator()(char* text) const { cJSON_free(text); }
};
using Json = std::unique_ptr<cJSON, Free>;

/// Valid UTF-8 goes as it is (cJSON escapes what has to be), anything else is made printable first.
std::string json_safe(std::string_view text) { return is_utf8(text) ? std::string(text) : printable(text); }

Json json_list(const std::vector<std::string>& items) {
  Json list(cJSON_CreateArray());
  for (const auto& item : items) cJSON_AddItemToArray(list.get(), cJSON_CreateString(json_safe(item).c_str()));
  return list;
}

std::vector<std::string> texts(const std::vector<Endpoint>& senders) {
  std::vector<std::string> out;
  for (const auto& e : senders) out.push_back(sender_text(e));
  return out;
}

/// One event: its fields in the order in which they are said.
class Line {
 public:
  Line() = default;  ///< a part of one
  explicit Line(const char* event) {
    number("v", 1);
    text("event", event);
  }
  Line& text(const char* key, std::string_view value) {
    cJSON_AddStringToObject(tree_.get(), key, json_safe(value).c_str());
    return *this;
  }
  Line& text_if(const char* key, std::string_view value) { return value.empty() ? *this : text(key, value); }
  /// Written as text: cJSON's numbers are doubles, and print large ones with an exponent.
  Line& number(const char* key, std::uint64_t value) { return raw(key, fmt::format("{}", value)); }
  Line& rate(const char* key, double value) {
    return number(key, static_cast<std::uint64_t>(std::max(0.0, value) + 0.5));
  }
  Line& real(const char* key, double value, int digits) { return raw(key, fmt::format("{:.{}f}", value, digits)); }
  Line& truth(const char* key, bool value) {
    cJSON_AddBoolToObject(tree_.get(), key, value);
    return *this;
  }
  Line& list(const char* key, const std::vector<std::string>& items) {
    cJSON_AddItemToObject(tree_.get(), key, json_list(items).release());
    return *this;
  }
  Line& raw(const char* key, const std::string& value) {
    cJSON_AddRawToObject(tree_.get(), key, value.c_str());
    return *this;
  }
  std::string end() const {
    const std::unique_ptr<char, Free> out(cJSON_PrintUnformatted(tree_.get()));
    return out ? std::string(out.get()) : std::string("{}");
  }

 private:
  Json tree_{cJSON_CreateObject()};
};

double percent(const core::TorrentStats& s) { return std::floor(share(s.bytes_done, s.bytes_total) * 1000) / 10; }

/// The value of a logfmt field: quoted when it holds a blank, a quote or nothing.
std::string logfmt_value(const std::string& text) {
  const auto shown = printable(text);
  if (!shown.empty() && shown.find_first_of(" \"=\\") == shown.npos) return shown;
  std::string out = "\"";
  for (const char c : shown) out += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
  return out + '"';
}

// What each notice of the tracker is called and about; the three writers below read this.
struct Told {
  std::string event, node, address, file, role;
  bool plain = false, silent = false;
};
Told told(const core::TrackerNotice& notice) {
  return std::visit(
      [](const auto& n) -> Told {
        using N = std::decay_t<decltype(n)>;
        if constexpr (std::is_same_v<N, core::NodeJoined>)
          return {"joined", n.name, n.address, {}, n.role, n.plain, false};
        if constexpr (std::is_same_v<N, core::NodeLeft>) return {"left", n.name, n.address, {}, {}, false, n.silent};
        if constexpr (std::is_same_v<N, core::NodeShares>) return {"shares", n.name, n.address, n.file, {}};
        if constexpr (std::is_same_v<N, core::NodeGets>) return {"gets", n.name, n.address, n.file, {}};
        if constexpr (std::is_same_v<N, core::NodeCompleted>) return {"completed", n.name, n.address, n.file, {}};
        if constexpr (std::is_same_v<N, core::NodeChecked>) return {"piece", n.name, n.address, n.file, {}};
        if constexpr (std::is_same_v<N, core::FileAdded>) return {"file_added", {}, {}, n.name, {}};
        if constexpr (std::is_same_v<N, core::FileRemoved>) return {"file_removed", {}, {}, n.name, {}};
      },
      notice);
}

}  // namespace

std::string start_json(const StartReport& s, std::string_view time) {
  Line line("start");
  line.text("time", time).text("name", s.name).text("infohash", to_hex(s.info_hash));
  line.number("bytes_total", s.bytes_total).number("pieces_total", s.pieces_total).number("pieces_have", s.pieces_have);
  return line.text_if("tracker", s.tracker).text_if("magnet", s.magnet).number("port", s.port).end();
}

std::string piece_json(const PieceCheck& check, const std::string& want, std::uint64_t bytes) {
  Line line("piece");
  line.text_if("name", check.alone ? std::string() : check.name).number("index", check.first);
  if (check.count > 1) line.number("count", check.count);
  line.truth("ok", check.ok);
  if (!check.ok) line.text_if("want", want);
  line.number("bytes", bytes);
  if (check.on_disk) line.truth("on_disk", true);
  return line.list("from", texts(check.from)).end();
}

std::string progress_json(const Transfer& t, bool name_it) {
  const auto& s = t.stats;
  Line line("progress");
  if (name_it) line.text("name", t.name);
  if (t.seed) {
    line.number("bytes_up", s.bytes_up).rate("rate_up", s.rate_up).number("peers", s.peers);
    return line.number("copies", s.copies_elsewhere).end();
  }
  line.real("percent", percent(s), 1).number("bytes_done", s.bytes_done).rate("rate_down", s.rate_down);
  line.rate("rate_up", s.rate_up).number("peers", s.peers);
  if (s.web_seeds > 0) line.number("web_seeds", s.web_seeds);
  if (s.rate_down > 0) {
    line.rate("eta_seconds", static_cast<double>(s.bytes_total - std::min(s.bytes_total, s.bytes_done)) / s.rate_down);
  } else {
    line.raw("eta_seconds", "null");
  }
  return line.number("bytes_down", s.bytes_down).number("bytes_up", s.bytes_up).end();
}

std::string metadata_json(const Transfer& t, bool name_it) {
  const auto& s = t.stats;
  Line line("metadata");
  if (name_it) line.text("name", t.name);
  line.number("bytes_done", s.metadata_done);
  s.metadata_bytes == 0 ? line.raw("bytes_total", "null") : line.number("bytes_total", s.metadata_bytes);
  return line.number("peers", s.peers).end();
}

std::string preparing_json(const Preparing& p) {
  Line line("preparing");
  line.text("name", p.name).text("what", p.verb).number("bytes_done", p.bytes_done);
  return line.number("bytes_total", p.bytes_total).rate("rate", p.rate).end();
}

namespace {
std::string end_json(const char* event, const Transfer& t, const std::string& path, double seconds, bool name_it) {
  Line line(event);
  if (name_it) line.text("name", t.name);
  line.text_if("path", path).real("seconds", seconds, 3);
  line.number("bytes_down", t.stats.bytes_down).number("bytes_up", t.stats.bytes_up);
  return line.number("hash_failures", t.stats.hash_failures).end();
}
}  // namespace

std::string done_json(const Transfer& t, const std::string& path, double seconds, bool name_it) {
  return end_json("done", t, path, seconds, name_it);
}
std::string whole_json(const Transfer& t, const std::string& path, double seconds, bool name_it) {
  return end_json("whole", t, path, seconds, name_it);
}

std::string checked_json(const CheckedReport& c) {
  Line line("checked");
  line.text("name", c.name).text("infohash", to_hex(c.info_hash)).text("path", c.path);
  return line.number("pieces", c.pieces).number("pieces_right", c.pieces_right).end();
}

std::string list_json(const wire::Metainfo& info, const std::vector<bool>& chosen) {
  Line line("list");
  line.text("name", info.name).text("infohash", to_hex(info.info_hash));
  line.number("bytes_total", size_of(info, chosen).bytes);
  std::string files;
  std::size_t number = 0;
  for (std::size_t i = 0; i < info.files.size(); ++i) {
    if (info.files[i].pad) continue;
    ++number;
    if (!chosen.empty() && !chosen[i]) continue;
    Line file;
    file.number("number", number).text("path", path_of(info.files[i])).number("bytes", info.files[i].length);
    files += (files.empty() ? "" : ",") + file.end();
  }
  return line.raw("files", "[" + files + "]").end();
}

std::string error_json(const Error& e, const std::string& name) {
  return error_json(static_cast<int>(e.exit), e.code, e.message, e.hint, name);
}

std::string error_json(int code, std::string_view word, std::string_view message, std::string_view hint,
                       const std::string& name) {
  Line line("error");
  line.text_if("name", name).number("code", static_cast<std::uint64_t>(code)).text("error", word);
  return line.text("message", message).text("hint", hint).end();
}

std::string simulation_start_json(const sim::Plan& plan, const std::string& command) {
  return Line("start")
      .number("nodes", plan.nodes())
      .number("seeds", plan.seeds)
      .number("bytes_total", plan.bytes_total)
      .number("piece_bytes", plan.piece_bytes)
      .number("random_seed", plan.random_seed)
      .text("command", command)
      .end();
}

std::string simulation_progress_json(const SimulationNow& now) {
  return Line("progress")
      .text_if("policy", now.policy)
      .real("seconds", now.seconds, 3)
      .real("percent", 100 * now.sample.mean, 2)
      .real("percent_least", 100 * now.sample.least, 2)
      .real("percent_whole", 100 * now.sample.whole, 2)
      .real("copies", now.status.files.empty() ? 0 : now.status.files.front().copies, 2)
      .end();
}

namespace {

void add_figures(Line& line, const SimulationResult& result) {
  const sim::Report& r = result.report;
  line.text_if("policy", result.policy)
      .number("nodes", r.downloaders)
      .number("finished", r.finished)
      .real("first_seconds", r.first_seconds, 6)
      .real("median_seconds", r.median_seconds, 6)
      .real("last_seconds", r.last_seconds, 6)
      .real("bound_seconds", r.bound_seconds, 6)
      .real("ratio", r.ratio, 4)
      .real("seed_copies", r.seed_copies, 4)
      .number("wasted_bytes", r.payload_wasted)
      .text("event_hash", fmt::format("{:016x}", r.event_hash))
      .number("events", r.events)
      .real("virtual_seconds", r.virtual_seconds, 3)
      .number("received_bytes", r.payload_received)
      .number("liars", r.liars)
      .number("free_riders", r.free_riders)
      .number("free_riders_finished", r.free_riders_finished)
      .real("free_riders_median_seconds", r.free_riders_median_seconds, 6)
      .number("lives", r.lives)
      .number("pieces_lost", r.pieces_lost)
      .number("pieces_wrong", r.pieces_wrong)
      .text("bound", r.bound.formula)
      .list("violations", r.violations);
}

}  // namespace

std::string simulation_done_json(const std::vector<SimulationResult>& results, std::string_view ending) {
  Line line("done");
  add_figures(line, results.front());
  line.text("ending", ending);
  for (std::size_t i = 1; i < results.size(); ++i) {
    Line other;
    add_figures(other, results[i]);
    line.raw("compared", other.end());
  }
  return line.end();
}

std::string listening_json(const std::string& url, std::uint16_t port, const std::vector<std::string>& addresses,
                           std::string_view time) {
  return Line("listening").text("time", time).text("url", url).number("port", port).list("addresses", addresses).end();
}

std::string ended_json(std::string_view time) { return Line("done").text("time", time).end(); }

std::string event_json(const core::TrackerNotice& notice, std::string_view time) {
  const auto t = told(notice);
  Line line(t.event.c_str());
  line.text("time", time).text_if("node", t.node).text_if("addr", t.address).text_if("name", t.file);
  line.text_if("role", t.role);
  if (t.event == "joined") line.truth("plain", t.plain);
  if (t.event == "left") line.truth("silent", t.silent);
  if (const auto* f = std::get_if<core::FileAdded>(&notice)) {
    line.number("bytes", f->bytes).number("pieces", f->pieces).number("piece_bytes", f->piece_bytes);
  }
  if (const auto* c = std::get_if<core::NodeChecked>(&notice)) {
    line.number("index", c->pieces.first).number("count", c->pieces.count).truth("ok", c->pieces.ok);
    line.list("from", texts(c->pieces.from));
  }
  return line.end();
}

std::string event_line(const core::TrackerNotice& notice, std::string_view clock, const Look& look) {
  const auto t = told(notice);
  const auto node = painted(printable(t.node), Paint::bold, look);
  const auto file = printable(t.file);
  std::string text;
  if (t.event == "piece") return {};
  if (t.event == "joined") text = fmt::format("{} joined ({}{})", node, t.address, t.plain ? ", another client" : "");
  if (t.event == "left") text = fmt::format("{} left ({}{})", node, t.address, t.silent ? ", no sign of life" : "");
  if (t.event == "shares") text = fmt::format("{} shares {}", node, file);
  if (t.event == "gets") text = fmt::format("{} gets {}", node, file);
  if (t.event == "completed") text = fmt::format("{} {} {}", node, painted("completed", Paint::good, look), file);
  if (t.event == "file_removed") text = fmt::format("{} is no longer in the catalogue", file);
  if (const auto* f = std::get_if<core::FileAdded>(&notice)) {
    text = fmt::format("{} is in the catalogue  {}  {} x {}", file, size_text(f->bytes),
                       counted(f->pieces, "piece", "pieces"), piece_bytes_text(f->piece_bytes));
  }
  return fmt::format("{}  {}", painted(clock, Paint::dim, look), text);
}

std::string event_logfmt(const core::TrackerNotice& notice, std::string_view time) {
  const auto t = told(notice);
  if (const auto* c = std::get_if<core::NodeChecked>(&notice)) return piece_logfmt(check_of(*c), time);
  auto line = fmt::format("time={} event={}", time, t.event);
  for (const auto& [key, value] :
       {std::pair{"node", &t.node}, {"addr", &t.address}, {"file", &t.file}, {"role", &t.role}}) {
    if (!value->empty()) line += fmt::format(" {}={}", key, logfmt_value(*value));
  }
  if (t.plain) line += " plain=true";
  if (t.silent) line += " silent=true";
  if (const auto* f = std::get_if<core::FileAdded>(&notice))
    line += fmt::format(" bytes={} pieces={}", f->bytes, f->pieces);
  return line;
}

std::string piece_logfmt(const PieceCheck& check, std::string_view time) {
  auto line = fmt::format("time={} event=piece", time);
  if (!check.node.empty()) line += fmt::format(" node={}", logfmt_value(check.node));
  if (!check.name.empty()) line += fmt::format(" file={}", logfmt_value(check.name));
  line += fmt::format(" first={} count={} sha1={}", check.first, check.count, check.ok ? "ok" : "mismatch");
  if (check.on_disk) line += " on_disk=true";
  std::string from;
  for (const auto& peer : check.from) from += (from.empty() ? "" : ",") + sender_text(peer);
  return from.empty() ? line : line + fmt::format(" from={}", from);
}

PieceCheck check_of(const core::NodeChecked& n) {
  return {n.name, n.file, n.pieces.first, n.pieces.count, n.pieces.ok, false, n.pieces.from};
}

}  // namespace swarm::cli
