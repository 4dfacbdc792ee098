// swarm status: a look at the swarm through its tracker, once or again and again.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <memory>

#include "base/text.hh"
#include "cli/commands.hh"
#include "cli/description.hh"
#include "cli/follow.hh"
#include "cli/piece_ranges.hh"
#include "cli/tables.hh"
#include "cli/tracker_finder.hh"
#include "uv/http_client.hh"
#include "uv/loop.hh"
#include "uv/signals.hh"
#include "uv/timer.hh"

namespace swarm::cli {

namespace {

class StatusCommand {
 public:
  StatusCommand(const Options& options, Voice& voice, uv::Loop& loop, TrackerAddress address)
      : options_(options),
        voice_(voice),
        loop_(loop),
        address_(std::move(address)),
        http_(loop),
        again_(loop, [this] { ask(); }),
        signals_(loop, [this](int number) { on_signal(number); }) {
    if (!options_.follow) return;
    follow_ = std::make_unique<Follow>(loop_, http_, voice_, address_,
                                       options_.words.empty() ? std::string() : options_.words[0],
                                       [this](const Error& error) { on_error(error); });
  }

  int run() {
    if (follow_) {
      follow_->begin();
    } else {
      ask();
    }
    loop_.run();
    return code_;
  }

 private:
  void ask();
  void on_reply(const Result<wire::HttpResponse>& reply);
  Result<wire::Status> read(const Result<wire::HttpResponse>& reply) const;
  Result<void> choose(wire::Status& status) const;
  void on_pieces(const Result<wire::HttpResponse>& reply);
  Result<wire::PieceHolders> read_pieces(const Result<wire::HttpResponse>& reply) const;
  void show(const wire::Status& status);
  void draw(std::vector<std::string> lines);
  void rest_or_stop();
  void on_error(const Error& error);
  void on_signal(int number);

  const Options& options_;
  Voice& voice_;
  uv::Loop& loop_;
  TrackerAddress address_;
  uv::HttpClient http_;
  uv::Timer again_;
  uv::Signals signals_;
  std::unique_ptr<Follow> follow_;  ///< with --follow
  bool shown_ = false;              ///< a frame stands on the terminal
  std::size_t frame_ = 0;           ///< its lines
  std::string last_error_;
  int code_ = 0;
};

void StatusCommand::ask() {
  uv::HttpAsk ask;
  ask.url = address_.base;
  ask.request.target = "/api/v1/status";
  ask.body_bytes_max = 4u << 20;
  ask.deadline = 6s;
  if (!options_.pieces_of.empty()) {
    ask.request.target = fmt::format("/api/v1/files/{}/pieces", percent_encode(as_bytes(options_.pieces_of)));
    http_.ask(std::move(ask), [this](const Result<wire::HttpResponse>& reply) { on_pieces(reply); });
    return;
  }
  http_.ask(std::move(ask), [this](const Result<wire::HttpResponse>& reply) { on_reply(reply); });
}

void StatusCommand::on_reply(const Result<wire::HttpResponse>& reply) {
  auto status = read(reply);
  if (status) {
    if (const auto chosen = choose(*status); !chosen) status = tl::unexpected(chosen.error());
  }
  if (!status) return on_error(status.error());
  last_error_.clear();
  show(*status);
  if (options_.check) {
    const bool missing = std::ranges::any_of(status->files, [](const auto& f) { return f.catalogued && f.copies < 1; });
    code_ = missing ? static_cast<int>(Exit::other) : 0;
  }
  rest_or_stop();
}

void StatusCommand::rest_or_stop() {
  if (options_.watch && voice_.is_heard()) return again_.start(*options_.watch);
  loop_.stop();
}

void StatusCommand::on_pieces(const Result<wire::HttpResponse>& reply) {
  const auto holders = read_pieces(reply);
  if (!holders) return on_error(holders.error());
  last_error_.clear();
  if (voice_.json()) {
    voice_.event(pieces_json(*holders));
  } else if (voice_.terminal().out) {
    draw(piece_table(*holders, voice_.out_look()));
  } else {
    for (const auto& row : piece_rows(*holders)) voice_.result(row);
    voice_.flush();
  }
  if (holders->left_out != 0) {
    voice_.advise(fmt::format("{} of them are not shown", counted(holders->left_out, "more node", "more nodes")));
  }
  rest_or_stop();
}

Result<wire::PieceHolders> StatusCommand::read_pieces(const Result<wire::HttpResponse>& reply) const {
  if (!reply) return tl::unexpected(tracker_error(address_, reply.error()));
  if (reply->status == 200) return wire::piece_holders_from_json(as_text(reply->body));
  auto error = api_error(address_, *reply);
  if (reply->status == 404) {
    error.message = fmt::format("'{}' is not shared on {}", printable(options_.pieces_of), address_.label);
  }
  return tl::unexpected(std::move(error));
}

Result<wire::Status> StatusCommand::read(const Result<wire::HttpResponse>& reply) const {
  if (!reply && !address_.udp()) return tl::unexpected(tracker_error(address_, reply.error()));
  if (reply && reply->status == 200) {
    if (auto status = wire::status_from_json(as_text(reply->body))) return status;
  }
  if (reply && (reply->status == 401 || reply->status == 403)) return tl::unexpected(api_error(address_, *reply));
  return fail(Exit::unreachable, "plain_tracker",
              fmt::format("{} is no swarm tracker: it has no status to show", address_.base));
}

/// WHAT: only that file, by name or info-hash, and the nodes that have to do with it.
Result<void> StatusCommand::choose(wire::Status& status) const {
  if (options_.words.empty()) return {};
  const auto& what = options_.words[0];
  std::vector<std::string> known;
  for (const auto& f : status.files) known.push_back(f.name);
  const auto other = [&](const auto& f) { return f.name != what && to_hex(f.info_hash) != what; };
  std::erase_if(status.files, other);
  for (auto& n : status.nodes) std::erase_if(n.files, other);
  std::erase_if(status.nodes, [](const wire::StatusNode& n) { return n.files.empty(); });
  if (!status.files.empty()) return {};
  const auto near = nearest(what, known);
  return fail(
      Exit::not_found, "not_found", fmt::format("'{}' is not shared on {}", printable(what), address_.label),
      near ? fmt::format("Closest: {}", printable(*near)) : fmt::format("See 'swarm status -t {}'", address_.typed));
}

void StatusCommand::show(const wire::Status& status) {
  if (voice_.json()) return voice_.event(wire::to_json(status));
  const StatusWanted wanted{options_.nodes || !options_.files, options_.files || !options_.nodes, address_.typed};
  if (!voice_.terminal().out) {
    for (const auto& row : status_rows(status, wanted)) voice_.result(row);
    return voice_.flush();
  }
  draw(status_tables(status, wanted, voice_.out_look()));
}

/// On a terminal; while watching, over the frame before.
void StatusCommand::draw(std::vector<std::string> lines) {
  const auto size = screen_size(STDOUT_FILENO);
  std::string frame;
  if (options_.watch) {
    const bool redraws = voice_.terminal().out_sticky;  // else one frame stands below the other
    if (frame_ > 0) frame = redraws ? fmt::format("\r\x1b[{}A\x1b[J", frame_) : "\n";
    if (redraws && lines.size() + 1 > size.rows && size.rows > 2) {  // a frame that scrolls could not be drawn over
      const auto more = lines.size() - (size.rows - 2);
      lines.resize(size.rows - 2);
      lines.push_back(fmt::format("... {} more lines", more));
    }
    frame_ = lines.size();
  }
  for (const auto& line : lines) frame += line + '\n';
  voice_.bytes(frame);
}

/// While watching, a tracker that is away for a moment is waited for; the last frame stays.
void StatusCommand::on_error(const Error& error) {
  const bool first = !shown_ && frame_ == 0;
  if (options_.watch && !first && error.exit == Exit::unreachable) {
    if (error.message != last_error_) voice_.warn(fmt::format("{}; trying again", error.message));
    if (error.message != last_error_ && voice_.terminal().out && frame_ > 0)
      ++frame_;  // the line above is drawn over too
    last_error_ = error.message;
    return again_.start(*options_.watch);
  }
  voice_.error(error);
  code_ = static_cast<int>(error.exit);
  loop_.stop();
}

void StatusCommand::on_signal(int number) {
  if (number == SIGUSR1) return;
  code_ = 128 + number;
  if (number == SIGINT && frame_ > 0) voice_.bytes("\n");  // ends the line of the ^C; the last frame stays
  loop_.stop();
}

/// WHAT says everything itself: no tracker is asked.
int show_description(const std::string& what, Voice& voice) {
  const auto d = describe(what);
  if (!d) return voice.error(d.error()), static_cast<int>(d.error().exit);
  voice.event(description_json(*d));
  Look look = voice.out_look();
  if (!voice.terminal().out) look.width = SIZE_MAX;  // nothing is cut off a terminal
  for (const auto& line : description_lines(*d, look)) voice.result(line);
  return 0;
}

}  // namespace

int run_status(const Options& options, const Environment& /*environment*/, Voice& voice) {
  const auto stop = [&voice](const Error& e) { return voice.error(e), static_cast<int>(e.exit); };
  if (!options.words.empty() && is_describable(options.words[0], !options.trackers.empty())) {
    return show_description(options.words[0], voice);
  }
  if (options.trackers.empty()) return stop(no_tracker_error(options.again));
  auto address = parse_tracker(options.trackers[0]);
  if (!address) return stop(address.error());
  auto loop = uv::Loop::create();
  if (!loop) return stop(loop.error());
  return StatusCommand(options, voice, **loop, std::move(*address)).run();
}

}  // namespace swarm::cli
