// Does a call end the process, as a failed check does? Asked in a child, so that the test goes on.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace swarm::test {

template <class Call>
bool dies(Call call) {
  const auto child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // the test framework reports a signal as a failure of the whole run
    close(STDERR_FILENO);
    call();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace swarm::test
