// What the tests of uv share: turning the loop until something holds, a bare TCP client, a folder that goes away.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "uv/loop.hh"
#include "uv/random_bytes.hh"
#include "uv/tcp.hh"
#include "uv/timer.hh"

namespace swarm::uv {

inline std::unique_ptr<Loop> make_loop() {
  auto loop = Loop::create();
  REQUIRE(loop);
  return std::move(*loop);
}

/// Turns the loop until `holds()`; false when that takes longer than `limit`.
template <class Holds>
bool run_until(Loop& loop, Holds holds, Duration limit = 60s) {
  bool late = false;
  Timer guard(loop, [&] { late = true; });
  guard.start(limit);
  while (!holds() && !late) loop.run_once();
  return holds();
}

/// A client that says what it is told and keeps what it hears.
class RawClient {
 public:
  RawClient(Loop& loop, const Endpoint& to) : loop_(loop) {
    connect_.emplace(loop, to, Interface{}, [this](int error, Descriptor socket) {
      refused = error != 0;
      if (refused) return;
      stream_ = std::make_unique<TcpStream>(loop_, std::move(socket),
                                            TcpStream::Events{.on_bytes = [this](ByteView b) { heard += as_text(b); },
                                                              .on_end = [this](int) { ended = true; },
                                                              .on_drained = [] {}});
      stream_->read(true);
    });
    run_until(loop, [this] { return refused || stream_ != nullptr; });
  }
  void say(std::string_view text) { stream_->write(to_buffer(text)); }
  void end() { stream_->end(); }
  bool wait_for(std::string_view text) {
    return run_until(loop_, [&] { return heard.find(text) != std::string::npos; });
  }
  bool wait_for_end(Duration limit = 60s) {
    return run_until(
        loop_, [this] { return ended; }, limit);
  }

  std::string heard;
  bool ended = false, refused = false;

 private:
  Loop& loop_;
  std::optional<TcpConnect> connect_;
  std::unique_ptr<TcpStream> stream_;
};

inline std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

/// An empty folder of its own below the system's folder for temporary files.
class TempFolder {
 public:
  TempFolder() : path_(std::filesystem::temp_directory_path() / ("swarm-uv-" + std::to_string(random_u64()))) {
    std::filesystem::create_directories(path_);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string path(const std::string& below = {}) const {
    return below.empty() ? path_.string() : (path_ / below).string();
  }

 private:
  std::filesystem::path path_;
};

const Endpoint loopback_any_port{IpAddress::v4(0x7f000001), 0};

}  // namespace swarm::uv
