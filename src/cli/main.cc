// swarm: what was typed goes to its subcommand, what comes back is the exit code. Nothing escapes from here: CLI11's exceptions
// end in options.cc, all others below.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cli/commands.hh"
#include "cli/options.hh"
#include "cli/places.hh"
#include "cli/voice.hh"

namespace {

using namespace swarm;
using namespace swarm::cli;

int dispatch(const Options& options, const Environment& environment, Voice& voice) {
  switch (options.command) {
    case Command::tracker:
      return run_tracker(options, environment, voice);
    case Command::seed:
      return run_seed(options, environment, voice);
    case Command::get:
      return run_get(options, environment, voice);
    case Command::status:
      return run_status(options, environment, voice);
    case Command::simulate:
      return run_simulate(options, environment, voice);
    case Command::none:
      break;
  }
  return static_cast<int>(Exit::usage);
}

/// A stream that the parent closed must not become a socket of ours: its number is taken by something that only fails.
void keep_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

int run(const std::vector<std::string>& arguments) {
  keep_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that left shows as EPIPE, where it is dealt with
  std::signal(SIGUSR1, SIG_IGN);  // until there is something to say: whoever asks too early must not end us
  const auto environment = real_environment();
  auto parsed = parse(arguments, environment, read_config);
  Options options = parsed ? std::move(parsed->options) : Options{};
  if (!parsed) options.json = std::ranges::find(arguments, "--json") != arguments.end();
  auto voice = Voice::open(options, environment);
  if (!voice) {
    fmt::print(stderr, "swarm: {}\n", error_text(voice.error()));
    return static_cast<int>(voice.error().exit);
  }
  int code = 0;
  if (!parsed) {
    (*voice)->error(parsed.error());
    code = static_cast<int>(parsed.error().exit);
  } else if (!parsed->answer.empty()) {
    (*voice)->bytes(parsed->answer);
  } else {
    for (const auto& warning : parsed->warnings) (*voice)->warn("warning: " + warning);
    code = dispatch(options, environment, **voice);
  }
  const auto told = (*voice)->finish();
  if (!told) {
    fmt::print(stderr, "swarm: {}\n", error_text(told.error()));
    if (code == 0) code = static_cast<int>(told.error().exit);
  }
  return code;
}

}  // namespace

int main(int count, char** words) {
  try {
    return run(std::vector<std::string>(words + std::min(count, 1), words + count));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "swarm: this should not have happened: %s\n", e.what());
  } catch (...) {
    std::fputs("swarm: this should not have happened\n", stderr);
  }
  return static_cast<int>(Exit::other);
}
