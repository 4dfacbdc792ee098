// swarm simulate: the engine of seed and get, thousands of nodes in one process, on a simulated network in virtual time.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/text.hh"
#include "cli/commands.hh"
#include "cli/huge_heap.hh"
#include "cli/report.hh"
#include "cli/simulation.hh"
#include "cli/terminal.hh"
#include "sim/scenario.hh"
#include "sim/svg.hh"
#include "sim/trace.hh"

namespace swarm::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr Clock::duration frame_every = 100ms, plain_every = 10s;  // of real time
constexpr std::size_t node_bytes = 384u << 10;                     // about, of a node among many
constexpr Duration event_every = 1s;                               // of virtual time, so that two runs say the same

volatile std::sig_atomic_t caught = 0;

/// The first signal ends the run after the virtual millisecond that it is in; the second ends the process.
void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int number) { caught = number; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

/// --trace: a line for all that happens.
class TraceFile {
 public:
  static Result<std::unique_ptr<TraceFile>> open(const std::string& path) {
    auto out = std::make_unique<TraceFile>(path);
    if (!out->file_) return tl::unexpected(out->error());
    return out;
  }
  explicit TraceFile(std::string path) : path_(std::move(path)), file_(std::fopen(path_.c_str(), "we")) {}

  void attach(sim::Scenario& scenario) {
    scenario.world().watch([this, &scenario](sim::Happened what, std::uint32_t host, std::uint64_t a, std::uint64_t b) {
      const auto line = sim::trace_line(scenario.world().now(), scenario.host_name(host), what, a, b) + '\n';
      std::fwrite(line.data(), 1, line.size(), file_.get());
    });
  }
  Result<void> finish() {
    const bool written = std::fflush(file_.get()) == 0 && std::ferror(file_.get()) == 0;
    if (!written) return tl::unexpected(error());
    return {};
  }

 private:
  Error error() const {
    return {Exit::disk, "cannot_write", fmt::format("--trace {}: {}", printable(path_), std::strerror(errno))};
  }
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

class SimulateCommand {
 public:
  SimulateCommand(const Options& options, sim::Plan plan, std::unique_ptr<TraceFile> trace, Voice& voice)
      : options_(options), plan_(std::move(plan)), trace_(std::move(trace)), voice_(voice) {}

  int run();

 private:
  SimulationResult play(const sim::Plan& plan, const std::string& policy);
  void look(sim::Scenario& scenario, const std::string& policy);
  void keep_pace(Instant now) const;
  Result<void> write_svg(const std::vector<SimulationResult>& results) const;
  SimulationNow now(sim::Scenario& scenario, const std::string& policy) const;

  const Options& options_;
  sim::Plan plan_;
  std::unique_ptr<TraceFile> trace_;
  Voice& voice_;
  bool traced_ = false;
  Clock::time_point began_, shown_;
  Instant told_{};
};

int SimulateCommand::run() {
  const std::string command = sim::command_of(plan_);
  voice_.event(simulation_start_json(plan_, command));
  voice_.advise(plan_lines(plan_, voice_.look()));
  std::vector<SimulationResult> results{play(plan_, options_.compare ? std::string(policy_word(plan_.policy)) : "")};
  if (options_.compare && caught == 0) {
    sim::Plan other = plan_;
    other.policy = *options_.compare;
    results.push_back(play(other, std::string(policy_word(other.policy))));
  }
  voice_.clear_footer();
  Look look = voice_.out_look();
  if (!voice_.terminal().out) look.width = 100;
  for (const auto& line : summary_lines(results, look)) voice_.result(line);
  voice_.event(simulation_done_json(results, caught != 0 ? "interrupted" : ending_word(results.front().report.ending)));

  int code = 0;
  const auto complain = [&](const Error& e) {
    voice_.warn("swarm: " + error_text(e));
    if (code == 0) code = static_cast<int>(e.exit);
  };
  if (trace_) {
    if (const auto written = trace_->finish(); !written) complain(written.error());
  }
  if (const auto written = write_svg(results); !written) complain(written.error());
  for (const auto& result : results) {
    if (caught != 0 && result.report.violations.empty()) continue;  // that it is not whole is no surprise then
    if (const auto error = simulation_error(result.report, command); error.exit != Exit::done) complain(error);
  }
  return caught != 0 ? 128 + caught : code;
}

SimulationResult SimulateCommand::play(const sim::Plan& plan, const std::string& policy) {
  sim::Scenario scenario(plan);
  if (trace_ && !std::exchange(traced_, true)) trace_->attach(scenario);  // of two runs the first
  began_ = Clock::now();
  shown_ = began_;
  told_ = Instant{} + event_every;
  while (caught == 0 && voice_.is_heard() && scenario.step()) look(scenario, policy);
  return {policy, scenario.report()};
}

/// Between two virtual milliseconds: what is shown, and how fast it goes.
void SimulateCommand::look(sim::Scenario& scenario, const std::string& policy) {
  const Instant virtual_now = scenario.world().now();
  if (voice_.json() && virtual_now >= told_) {
    told_ = virtual_now + event_every;
    voice_.event(simulation_progress_json(now(scenario, policy)));
  }
  const auto real_now = Clock::now();
  if (voice_.draws_footer() && real_now - shown_ >= frame_every) {
    shown_ = real_now;
    const auto rows = screen_size(STDERR_FILENO).rows;
    voice_.footer(simulation_lines(now(scenario, policy), rows, voice_.look()));
  } else if (voice_.draws_plain() && real_now - shown_ >= plain_every) {
    shown_ = real_now;
    voice_.plain(plain_simulation_line(now(scenario, policy)));
  }
  if (options_.speed > 0) keep_pace(virtual_now);
}

void SimulateCommand::keep_pace(Instant now) const {
  const auto due = began_ + from_seconds(seconds(now.time_since_epoch()) / options_.speed);
  const auto wait = due - Clock::now();
  if (wait >= 1ms) std::this_thread::sleep_for(std::min<Clock::duration>(wait, frame_every));
}

SimulationNow SimulateCommand::now(sim::Scenario& scenario, const std::string& policy) const {
  SimulationNow out;
  out.status = scenario.status();
  out.seconds = seconds(scenario.world().now().time_since_epoch());
  out.real_seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  out.sample = scenario.sample();
  out.policy = policy;
  return out;
}

Result<void> SimulateCommand::write_svg(const std::vector<SimulationResult>& results) const {
  if (options_.svg.empty()) return {};
  std::vector<sim::SvgRun> runs;
  for (const auto& r : results) runs.push_back({r.policy, r.report.curve, r.report.bound_seconds});
  errno = 0;
  std::ofstream file(options_.svg, std::ios::binary | std::ios::trunc);
  file << sim::svg_of(sim::command_of(plan_), runs);
  file.close();
  if (file) return {};
  return fail(Exit::disk, "cannot_write",
              fmt::format("--svg {}: {}", printable(options_.svg), std::strerror(errno == 0 ? EIO : errno)));
}

/// --profile FILE.
Result<sim::Profile> read_profile(const std::string& path) {
  const auto file = read_config(path);  // any small text file
  if (!file) return tl::unexpected(file.error());
  if (!*file) {
    return fail(Exit::not_found, "not_found", fmt::format("--profile: {} is no profile and no file", printable(path)),
                "Use lan, wan, mixed or a file");
  }
  return sim::profile_from_json(**file, path);
}

}  // namespace

int run_simulate(const Options& options, const Environment& /*environment*/, Voice& voice) {
  const auto stop = [&voice](const Error& e) { return voice.error(e), static_cast<int>(e.exit); };
  sim::Plan plan = options.plan;
  if (!options.profile_file.empty()) {
    auto profile = read_profile(options.profile_file);
    if (!profile) return stop(profile.error());
    plan.profile = std::move(*profile);
  }
  std::unique_ptr<TraceFile> trace;
  if (!options.trace.empty()) {
    auto opened = TraceFile::open(options.trace);
    if (!opened) return stop(opened.error());
    trace = std::move(*opened);
  }
  prefer_huge_pages((plan.seeds + plan.nodes()) * node_bytes);
  catch_signals();
  return SimulateCommand(options, std::move(plan), std::move(trace), voice).run();
}

}  // namespace swarm::cli
