#include "cli/voice.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.hh"
#include "cli/clock.hh"
#include "cli/report.hh"

namespace swarm::cli {

namespace {

Progress settled(const Options& o, const Terminal& t) {
  if (o.quiet) return Progress::none;
  if (o.progress == Progress::bar) return t.sticky ? Progress::bar : Progress::plain;
  if (o.progress != Progress::automatic) return o.progress;
  if (o.json) return Progress::none;  // the events tell it
  return t.sticky ? Progress::bar : Progress::plain;
}

/// Off a terminal the progress line counts the checks; only failures get lines of their own, unless more was asked for.
Pieces settled_pieces(const Options& o, const Terminal& t) {
  if (o.pieces != Pieces::automatic) return o.pieces;
  if (o.verbose > 0 || o.json) return Pieces::all;
  if (o.quiet) return Pieces::failures;
  return t.err ? Pieces::ranges : Pieces::failures;
}

}  // namespace

Voice::Voice(const Options& options, const Environment& environment)
    : terminal_(find_terminal(options.colour, environment)),
      json_(options.json),
      quiet_(options.quiet),
      verbose_(options.verbose),
      progress_(settled(options, terminal_)),
      pieces_(settled_pieces(options, terminal_)),
      piece_log_(options.json ? Pieces::none : pieces_),
      out_(STDOUT_FILENO, Outlet::WhenFull::wait),
      screen_(progress_ == Progress::bar),
      log_path_(options.log) {}

Result<std::unique_ptr<Voice>> Voice::open(const Options& options, const Environment& environment) {
  std::unique_ptr<Voice> voice(new Voice(options, environment));
  if (!options.log.empty()) {
    voice->log_fd_ = uv::Descriptor(::open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!voice->log_fd_) {
      return fail(Exit::disk, "cannot_open", fmt::format("--log {}: {}", printable(options.log), std::strerror(errno)));
    }
    voice->log_ = std::make_unique<Outlet>(voice->log_fd_.get(), Outlet::WhenFull::wait);
  }
  return voice;
}

Look Voice::look() const {
  const auto columns = screen_size(STDERR_FILENO).columns;
  return {columns > 1 ? columns - 1 : columns, terminal_.utf8,
          terminal_.err_colour};  // the last column makes some wrap
}

Look Voice::out_look() const { return {screen_size(STDOUT_FILENO).columns, terminal_.utf8, terminal_.out_colour}; }

void Voice::result(std::string_view text) {
  if (json_) return;
  if (terminal_.out) screen_.clear();
  out_.write(fmt::format("{}\n", text));
}

void Voice::bytes(std::string_view bytes) { out_.write(bytes); }

void Voice::event(const std::string& line) {
  if (json_) out_.write(line + '\n');
}

void Voice::advise(std::string_view line) {
  if (!quiet_ && !json_) screen_.line(line);
}

void Voice::advise(const std::vector<std::string>& lines) {
  if (!quiet_ && !json_) screen_.lines(lines);
}

void Voice::detail(std::string_view line) {
  if (verbose_ > 0) advise(line);
}

void Voice::warn(std::string_view line) { screen_.line(line); }

void Voice::error(const Error& e, const std::string& name) {
  const auto text = e.code == "usage" && e.message.starts_with("usage:") ? e.message : "swarm: " + error_text(e);
  screen_.line(text);
  event(error_json(e, name));
}

bool Voice::wants_piece_events(bool ok) const {
  return json_ && pieces_ != Pieces::none && (ok ? pieces_ != Pieces::failures : true);
}

void Voice::piece(const PieceCheck& check, const std::string& want, std::uint64_t bytes) {
  piece_logged(check);
  if (wants_piece_events(check.ok)) event(piece_json(check, want, bytes));
}

void Voice::piece_logged(const PieceCheck& check) {
  if (log_) log_->write(piece_logfmt(check, rfc3339_now()) + '\n');
  piece_log_.add(check);
}

bool Voice::flush_pieces(Instant now) {
  screen_.lines(piece_log_.take(now, clock(), look()));
  return piece_log_.waits();
}

void Voice::flush_all_pieces() { screen_.lines(piece_log_.rest(clock(), look())); }

void Voice::flush() {
  out_.flush();
  screen_.flush();
}

std::string Voice::time() const { return rfc3339_now(); }

std::string Voice::clock() const { return terminal_.err ? time_of_day() : rfc3339_now(); }

Result<void> Voice::finish() {
  screen_.clear();
  out_.finish();
  if (log_) log_->finish();
  if (log_ && log_->broken()) {
    return fail(Exit::disk, "cannot_write",
                fmt::format("--log {}: {}", printable(log_path_), std::strerror(log_->error())));
  }
  if (out_.broken() && out_.error() != EPIPE) {
    return fail(Exit::other, "cannot_write", fmt::format("cannot write to stdout: {}", std::strerror(out_.error())));
  }
  return {};
}

std::string error_text(const Error& e) { return e.hint.empty() ? e.message : fmt::format("{}. {}", e.message, e.hint); }

}  // namespace swarm::cli
