#include "support/failing_calls.hh"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace swarm::test {
namespace {

thread_local FailingCalls* counting = nullptr;

}  // namespace

FailingCalls::FailingCalls(std::size_t nth, int error, bool from_then_on)
    : nth_(nth), error_(error), from_then_on_(from_then_on) {
  counting = this;
}
FailingCalls::FailingCalls(std::string name, int error) : FailingCalls(0, error) { name_ = std::move(name); }
FailingCalls::~FailingCalls() { counting = nullptr; }

bool FailingCalls::fails(const char* name) {
  calls_.emplace_back(name);
  const bool now = name_ == name || calls_.size() == nth_ || (from_then_on_ && nth_ != 0 && calls_.size() > nth_);
  if (!now) return false;
  if (failed_.empty()) failed_ = name;
  errno = error_;
  return true;
}

namespace {

bool fails(const char* name) {
  FailingCalls* const calls = counting;
  if (calls == nullptr) return false;
  counting = nullptr;  // what the counting itself does is not counted
  const int before = errno;
  const bool failing = calls->fails(name);
  if (!failing) errno = before;
  counting = calls;
  return failing;
}

template <class F>
F* real(const char* name) {
  void* const found = ::dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<F*>(found);
}

}  // namespace
}  // namespace swarm::test

using swarm::test::fails;
using swarm::test::real;

// The names that libc exports differ with _FILE_OFFSET_BITS; on the machines that swarm is for both mean the same.
extern "C" {

#define SWARM_FORWARD(type, name, parameters, arguments)          \
  type name parameters {                                          \
    static auto* const call = real<type parameters>(#name);       \
    return fails(#name) ? static_cast<type>(-1) : call arguments; \
  }

SWARM_FORWARD(ssize_t, preadv, (int fd, const iovec* list, int count, off_t at), (fd, list, count, at))
SWARM_FORWARD(ssize_t, pwritev, (int fd, const iovec* list, int count, off_t at), (fd, list, count, at))
SWARM_FORWARD(int, fdatasync, (int fd), (fd))
SWARM_FORWARD(int, fsync, (int fd), (fd))
SWARM_FORWARD(int, syncfs, (int fd) noexcept, (fd))
SWARM_FORWARD(int, fstat, (int fd, struct stat* s) noexcept, (fd, s))
SWARM_FORWARD(int, fstatat, (int fd, const char* path, struct stat* s, int flags) noexcept, (fd, path, s, flags))
SWARM_FORWARD(int, fstatvfs, (int fd, struct statvfs* s) noexcept, (fd, s))
SWARM_FORWARD(off_t, lseek, (int fd, off_t at, int whence) noexcept, (fd, at, whence))
SWARM_FORWARD(int, ftruncate, (int fd, off_t length) noexcept, (fd, length))
SWARM_FORWARD(int, fchmod, (int fd, mode_t mode) noexcept, (fd, mode))
SWARM_FORWARD(int, mkdirat, (int fd, const char* path, mode_t mode) noexcept, (fd, path, mode))
SWARM_FORWARD(int, unlink, (const char* path) noexcept, (path))
SWARM_FORWARD(int, unlinkat, (int fd, const char* path, int flags) noexcept, (fd, path, flags))
SWARM_FORWARD(int, linkat, (int a, const char* from, int b, const char* to, int flags) noexcept,
              (a, from, b, to, flags))
SWARM_FORWARD(int, renameat, (int a, const char* from, int b, const char* to) noexcept, (a, from, b, to))
SWARM_FORWARD(int, renameat2, (int a, const char* from, int b, const char* to, unsigned flags) noexcept,
              (a, from, b, to, flags))

#undef SWARM_FORWARD

int open(const char* path, int flags, ...) {
  static auto* const call = real<int(const char*, int, ...)>("open");
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
  va_end(list);
  return fails("open") ? -1 : call(path, flags, mode);
}

int openat(int folder, const char* path, int flags, ...) {
  static auto* const call = real<int(int, const char*, int, ...)>("openat");
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
  va_end(list);
  return fails("openat") ? -1 : call(folder, path, flags, mode);
}

long syscall(long number, ...) noexcept {
  static auto* const call = real<long(long, ...)>("syscall");
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_openat2 && swarm::test::counting != nullptr) {
    errno = ENOSYS;
    return -1;
  }
  return call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}
}
