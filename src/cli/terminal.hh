// Terminal: what stdout and stderr are connected to, and a log that scrolls above a footer that stays.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "cli/look.hh"
#include "cli/options.hh"

namespace swarm::cli {

/// Decided once, at start.
struct Terminal {
  bool out = false, err = false;  ///< is a terminal
  bool utf8 = false;              ///< the locale is UTF-8
  bool out_colour = false, err_colour = false;
  bool out_sticky = false, sticky = false;  ///< stdout, stderr can redraw lines (TERM is not dumb)
};
Terminal find_terminal(Colour wanted, const Environment& environment);
/// The same, for streams that are terminals or not.
Terminal judge_terminal(bool out, bool err, Colour wanted, const Environment& environment);

/// --color, then NO_COLOR, then CLICOLOR_FORCE, then whether it is a terminal that is not dumb.
bool wants_colour(Colour wanted, bool terminal, const Environment& environment);
/// LC_ALL, else LC_CTYPE, else LANG names UTF-8.
bool utf8_locale(const Environment& environment);

struct ScreenSize {
  std::size_t columns = 80, rows = 24;
};
ScreenSize screen_size(int fd);  ///< by ioctl, else $COLUMNS and $LINES, else 80 x 24

/// Bytes to a descriptor that may be slow: what it does not take now waits, so that a paused terminal or a full pipe does not
/// stop a transfer. Bound: 1 MiB waits; then `wait` blocks, and `drop` drops whole writes and counts them.
class Outlet {
 public:
  enum class WhenFull : unsigned char { wait, drop };
  Outlet(int fd, WhenFull when_full);
  ~Outlet();  ///< gives the rest one second
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;

  void write(std::string_view bytes);
  void flush();   ///< what can go without waiting; call it now and then
  void finish();  ///< waits until all is written, a second at most on a terminal or pipe that takes nothing
  bool backed_up() const { return !waiting_.empty(); }
  std::size_t take_dropped();                  ///< writes dropped since the last call
  bool broken() const { return error_ != 0; }  ///< the other side is gone, or the disk behind it is full
  int error() const { return error_; }         ///< errno of that

 private:
  int fd_;
  WhenFull when_full_;
  std::string waiting_;
  std::size_t dropped_ = 0;
  int error_ = 0;
};

/// What takes a footer away whose lines are so many columns wide, on a terminal of `columns`: the cursor stands at the start of
/// the last line. A terminal that became narrower has wrapped the others by now.
std::string erase_text(const std::vector<std::size_t>& widths, std::size_t columns);
/// So many lines of a footer as can be drawn over: all, or the first ones and the last, which sums up.
std::vector<std::string> fit_rows(std::vector<std::string> lines, std::size_t rows);

/// stderr as people see it: lines scroll, the footer stays below them when there is one.
///
/// The cursor rests at the start of the footer's last line, so that the ^C which a terminal echoes stands where the next frame
/// overwrites it, and never makes the line wrap. The footer is drawn without automatic wrapping: for a moment after a window
/// became narrower, its size as the system tells it is still the old one.
class Screen {
 public:
  explicit Screen(bool sticky);
  ~Screen();  ///< removes the footer
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void line(std::string_view text);  ///< without its end
  void lines(const std::vector<std::string>& texts);
  void footer(std::vector<std::string> lines);  ///< drawn now; nothing where the screen is not sticky
  void keep_footer();                           ///< the last frame stays, and scrolls from now on
  void flush();
  /// Writes the log and takes the footer away, to make room for stdout on the same terminal. Drawn again by the next footer().
  void clear();

 private:
  std::string erase() const;
  void draw(std::string_view above);

  Outlet out_;
  bool sticky_;
  std::vector<std::string> footer_;
  std::vector<std::size_t> drawn_;  ///< widths of the footer's lines on the screen now
};

}  // namespace swarm::cli
