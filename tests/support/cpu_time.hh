// How long a test may compute, whatever else the machine does.
#pragma once

#include <ctime>

namespace swarm::test {

#ifdef __has_feature
#define SWARM_CLANG_SANITIZES (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SWARM_CLANG_SANITIZES 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || SWARM_CLANG_SANITIZES || !defined(__OPTIMIZE__)
constexpr double slowdown = 10;  ///< what a sanitizer costs, or counting lines without the optimizer, amply
#else
constexpr double slowdown = 1;
#endif

/// Processor time of this process.
inline double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace swarm::test
