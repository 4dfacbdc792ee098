#include "cli/huge_heap.hh"

#include <cstdlib>
#if defined(__GLIBC__)
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#endif

namespace swarm::cli {

#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)

/// glibc's malloc extends the heap by what it lacks and M_TOP_PAD. So it is made to extend it once, by all of it.
void prefer_huge_pages(std::size_t bytes) {
  constexpr std::size_t huge_page = 2u << 20, least = 8u << 20, most = (2u << 30) - huge_page;
  constexpr int apart_from = 32 << 20;    // the most that malloc allows: what is larger is mapped on its own
  constexpr std::size_t some = 1u << 20;  // takes what the heap has left
  if (bytes < least) return;
  mallopt(M_MMAP_THRESHOLD, apart_from);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, static_cast<int>(std::min(bytes, most)));
  const auto end_of_heap = [] { return reinterpret_cast<std::uintptr_t>(sbrk(0)); };
  const std::uintptr_t before = end_of_heap();
  std::array<void*, 8> taken{};
  for (auto it = taken.begin(); it != taken.end() && end_of_heap() == before; ++it) *it = std::malloc(some);
  const std::uintptr_t begin = (before + huge_page - 1) / huge_page * huge_page;
  const std::uintptr_t end = end_of_heap() / huge_page * huge_page;
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  for (void* one : taken) std::free(one);
}

#else

void prefer_huge_pages(std::size_t) {}

#endif

}  // namespace swarm::cli
