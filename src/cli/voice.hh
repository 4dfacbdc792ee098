// Voice: everything that a command says, sent where UX.md wants it: results to stdout, the rest to stderr, and as JSON Lines
// when asked. One per process.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "cli/console.hh"
#include "cli/options.hh"
#include "cli/piece_log.hh"
#include "cli/terminal.hh"
#include "uv/descriptor.hh"

namespace swarm::cli {

class Voice {
 public:
  /// Opens --log; Exit::disk when it cannot.
  static Result<std::unique_ptr<Voice>> open(const Options& options, const Environment& environment);

  const Terminal& terminal() const { return terminal_; }
  Look look() const;      ///< of stderr, as wide as it is now
  Look out_look() const;  ///< of stdout
  bool json() const { return json_; }
  bool is_heard() const {
    return !out_.broken();
  }  ///< false: whoever read stdout is gone, or the disk behind it is full

  void result(std::string_view text);   ///< stdout, a line; not with --json
  void bytes(std::string_view bytes);   ///< stdout, as they are
  void event(const std::string& line);  ///< stdout, a JSON line; only with --json
  void advise(std::string_view line);   ///< stderr; not with -q or --json
  void advise(const std::vector<std::string>& lines);
  void detail(std::string_view line);  ///< the same, with -v only
  void warn(std::string_view line);    ///< stderr, always
  /// Both: "swarm: message. hint" on stderr and the JSON event. `name` says which torrent, where there are several.
  void error(const Error& e, const std::string& name = {});

  /// A piece check: on the screen as --pieces says, in the --log, as an event. `want` and `bytes` are for the event.
  void piece(const PieceCheck& check, const std::string& want, std::uint64_t bytes);
  void piece_logged(const PieceCheck& check);  ///< all of that but the event, which a tracker words in its own way
  bool wants_piece_events(bool ok) const;
  /// Prints what the piece log holds back; true while more waits for a later call, which is due in 100 ms.
  bool flush_pieces(Instant now);
  void flush_all_pieces();

  bool draws_footer() const { return progress_ == Progress::bar; }
  bool draws_plain() const { return progress_ == Progress::plain; }
  void footer(std::vector<std::string> lines) {
    if (draws_footer()) screen_.footer(std::move(lines));
  }
  void keep_footer() { screen_.keep_footer(); }
  void clear_footer() { screen_.clear(); }
  void plain(std::string_view line) { screen_.line(line); }
  void flush();

  std::string time() const;   ///< for events: RFC 3339, UTC
  std::string clock() const;  ///< at the start of a line on stderr: time of day on a terminal, else RFC 3339

  /// Writes all that waits. An error when stdout took not all of it (but for a reader that left on purpose).
  Result<void> finish();

 private:
  Voice(const Options& options, const Environment& environment);

  Terminal terminal_;
  bool json_, quiet_;
  unsigned verbose_;
  Progress progress_;
  Pieces pieces_;
  PieceLog piece_log_;
  Outlet out_;
  Screen screen_;
  uv::Descriptor log_fd_;
  std::unique_ptr<Outlet> log_;
  std::string log_path_;
};

/// "message. hint", as one line.
std::string error_text(const Error& e);

}  // namespace swarm::cli
