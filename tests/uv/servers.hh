// Servers: servers.py as a process of its own, for what a server of ours cannot show: TLS, and other people's HTTP.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "support.hh"
#include "uv/descriptor.hh"

namespace swarm::uv {

class Servers {
 public:
  Servers() {
    int in[2], out[2];
    REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
    const std::string folder = folder_.path();
    process_ = ::fork();
    REQUIRE(process_ >= 0);
    if (process_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::execlp("python3", "python3", SWARM_UV_TESTS "/servers.py", folder.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    alive_ = Descriptor(in[1]);
    std::FILE* said = ::fdopen(out[0], "r");
    char name[64];
    bool ready = false;
    while (!ready && std::fscanf(said, "%63s", name) == 1) {
      ready = std::string(name) == "ready";
      unsigned port = 0;
      if (!ready && std::fscanf(said, "%u", &port) == 1) ports_[name] = static_cast<std::uint16_t>(port);
    }
    std::fclose(said);
    REQUIRE_MESSAGE(ready, "servers.py needs python3 and openssl");
  }
  ~Servers() {
    alive_.close();  // it ends by itself
    ::waitpid(process_, nullptr, 0);
  }
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;

  std::uint16_t port(const std::string& name) const { return ports_.at(name); }
  std::string url(const std::string& name, const std::string& target = "/", const std::string& host = "localhost",
                  const std::string& scheme = "https") const {
    return scheme + "://" + host + ":" + std::to_string(port(name)) + target;
  }
  std::string authority() const { return folder_.path("ca.pem"); }
  std::string www(const std::string& name) const { return folder_.path("www/" + name); }

  /// One for all tests of the program.
  static Servers& shared() {
    static Servers servers;
    return servers;
  }

 private:
  TempFolder folder_;
  pid_t process_ = -1;
  Descriptor alive_;
  std::map<std::string, std::uint16_t> ports_;
};

/// A variable of the environment while it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace swarm::uv
