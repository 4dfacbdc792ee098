// Huge pages for the heap of a process that walks through much of it in no order.
#pragma once

#include <cstddef>

namespace swarm::cli {

/// The next `bytes` of the heap come in huge pages where the machine has them (transparent ones, "always" or "madvise"). Takes
/// addresses only: memory is used as it is needed. Elsewhere, and with another C library than glibc, nothing happens.
/// Rationale: a simulated world of a thousand nodes has some hundred MiB, and each event touches another node's; with pages of
/// 4 KiB the processor looks up where each of them lies.
void prefer_huge_pages(std::size_t bytes);

}  // namespace swarm::cli
