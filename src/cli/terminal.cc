#include "cli/terminal.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>

namespace swarm::cli {

namespace {

constexpr std::size_t waiting_max = 1u << 20;
constexpr std::size_t chunk = 4096;  // PIPE_BUF: what poll promises to take without blocking
constexpr int patience_ms = 1000;    // at the end

/// Waits until fd takes bytes; a regular file always does.
bool writable(int fd, int timeout_ms) {
  pollfd p{fd, POLLOUT, 0};
  const int ready = ::poll(&p, 1, timeout_ms);
  return ready > 0 && (p.revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) != 0;
}

bool is_set(const Environment& environment, const char* name) {
  const auto value = environment(name);
  return value && !value->empty();
}

std::size_t number_of(const char* variable) {
  const char* text = std::getenv(variable);
  const long n = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  return n > 0 && n < 10'000 ? static_cast<std::size_t>(n) : 0;
}

}  // namespace

bool wants_colour(Colour wanted, bool terminal, const Environment& environment) {
  if (wanted != Colour::automatic) return wanted == Colour::always;
  if (is_set(environment, "NO_COLOR")) return false;
  const auto force = environment("CLICOLOR_FORCE");
  if (force && !force->empty() && *force != "0") return true;
  return terminal && environment("TERM").value_or("dumb") != "dumb";
}

bool utf8_locale(const Environment& environment) {
  for (const auto* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto value = environment(name);
    if (!value || value->empty()) continue;
    std::string letters;
    for (const char c : *value) {
      if (c != '-') letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return letters.find("utf8") != letters.npos;
  }
  return false;
}

Terminal find_terminal(Colour wanted, const Environment& environment) {
  return judge_terminal(::isatty(STDOUT_FILENO) == 1, ::isatty(STDERR_FILENO) == 1, wanted, environment);
}

Terminal judge_terminal(bool out, bool err, Colour wanted, const Environment& environment) {
  Terminal t;
  t.out = out;
  t.err = err;
  t.utf8 = utf8_locale(environment);
  t.out_colour = wants_colour(wanted, t.out, environment);
  t.err_colour = wants_colour(wanted, t.err, environment);
  const bool dumb = environment("TERM").value_or("dumb") == "dumb";
  t.out_sticky = t.out && !dumb;
  t.sticky = t.err && !dumb;
  return t;
}

ScreenSize screen_size(int fd) {
  ScreenSize size;
  winsize w{};
  if (::ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0) {
    size.columns = w.ws_col;
    if (w.ws_row > 0) size.rows = w.ws_row;
    return size;
  }
  if (const auto n = number_of("COLUMNS")) size.columns = n;
  if (const auto n = number_of("LINES")) size.rows = n;
  return size;
}

Outlet::Outlet(int fd, WhenFull when_full) : fd_(fd), when_full_(when_full) {}

Outlet::~Outlet() { finish(); }

void Outlet::write(std::string_view bytes) {
  if (broken() || bytes.empty()) return;
  if (waiting_.size() + bytes.size() > waiting_max && !waiting_.empty()) {
    flush();
    while (when_full_ == WhenFull::wait && !broken() && waiting_.size() > waiting_max / 2) {
      if (writable(fd_, -1)) flush();
    }
    if (when_full_ == WhenFull::drop && waiting_.size() + bytes.size() > waiting_max) {
      ++dropped_;
      return;
    }
  }
  waiting_ += bytes;
  flush();
}

void Outlet::flush() {
  std::size_t at = 0;
  while (at < waiting_.size() && !broken() && writable(fd_, 0)) {
    const auto n = ::write(fd_, waiting_.data() + at, std::min(chunk, waiting_.size() - at));
    if (n > 0) {
      at += static_cast<std::size_t>(n);
    } else if (n < 0 && errno != EINTR && errno != EAGAIN) {
      error_ = errno;
    } else if (n < 0 && errno == EAGAIN) {
      break;
    }
  }
  waiting_.erase(0, broken() ? waiting_.size() : at);
}

void Outlet::finish() {
  while (!waiting_.empty() && !broken()) {
    if (!writable(fd_, patience_ms)) return;
    flush();
  }
}

std::size_t Outlet::take_dropped() { return std::exchange(dropped_, 0); }

Screen::Screen(bool sticky) : out_(STDERR_FILENO, Outlet::WhenFull::drop), sticky_(sticky) {}

Screen::~Screen() { clear(); }

std::string erase_text(const std::vector<std::size_t>& widths, std::size_t columns) {
  if (widths.empty()) return {};
  std::size_t up = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    up += columns == 0 || widths[i] == 0 ? 1 : (widths[i] + columns - 1) / columns;
  }
  return up == 0 ? "\r\x1b[J" : fmt::format("\r\x1b[{}A\x1b[J", up);
}

std::vector<std::string> fit_rows(std::vector<std::string> lines, std::size_t rows) {
  const auto most = rows > 1 ? rows - 1 : 1;  // one row is for the log
  if (lines.size() > most) lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(most) - 1, lines.end() - 1);
  return lines;
}

std::string Screen::erase() const { return erase_text(drawn_, screen_size(STDERR_FILENO).columns); }

void Screen::line(std::string_view text) { draw(fmt::format("{}\n", text)); }

void Screen::lines(const std::vector<std::string>& texts) {
  std::string all;
  for (const auto& text : texts) all += text + '\n';
  if (!all.empty()) draw(all);
}

void Screen::footer(std::vector<std::string> lines) {
  if (!sticky_) return;
  lines = fit_rows(std::move(lines), screen_size(STDERR_FILENO).rows);
  if (lines == footer_ && drawn_.size() == lines.size()) return;
  if (out_.backed_up()) return out_.flush();  // a paused terminal gets no frames, only the log
  footer_ = std::move(lines);
  draw({});
}

void Screen::keep_footer() {
  if (!drawn_.empty()) out_.write("\n");
  drawn_.clear();
  footer_.clear();
}

void Screen::clear() {
  out_.write(erase());
  drawn_.clear();
  out_.finish();
}

void Screen::flush() { out_.flush(); }

void Screen::draw(std::string_view above) {
  std::string frame = erase();
  if (const auto dropped = out_.take_dropped())
    frame += fmt::format("... {} lines dropped while this terminal stood still\n", dropped);
  frame += above;
  drawn_.clear();
  if (!footer_.empty()) frame += "\x1b[?7l";
  for (std::size_t i = 0; i < footer_.size(); ++i) {
    frame += (i == 0 ? "" : "\n") + footer_[i];
    drawn_.push_back(painted_columns(footer_[i]));
  }
  if (!footer_.empty()) frame += "\r\x1b[?7h";
  out_.write(frame);
}

}  // namespace swarm::cli
