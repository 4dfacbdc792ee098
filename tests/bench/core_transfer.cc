// core_transfer SEEDS PIECES PIECE_KIB: one transfer through the core alone (core_pair.hh), for callgrind:
//
//     valgrind --tool=callgrind --toggle-collect=measured_transfer core_transfer 1 256 1024
//
// counts the instructions of both ends' cores between the first connect and the file's name, and not those of making ready.
#include <cstdio>
#include <cstdlib>

#include "core_pair.hh"

extern "C" [[gnu::noinline, gnu::used]] bool measured_transfer(swarm::bench::CorePair& pair);
bool measured_transfer(swarm::bench::CorePair& pair) { return pair.transfer(); }

int main(int count, char** words) {
  if (count != 4) return std::fputs("core_transfer SEEDS PIECES PIECE_KIB\n", stderr), 2;
  const auto word = [&](int i) { return static_cast<std::uint32_t>(std::strtoul(words[i], nullptr, 10)); };
  swarm::bench::CorePair pair(word(1), word(2), word(3) * 1024);
  if (!measured_transfer(pair)) return std::fputs("the transfer stands still\n", stderr), 1;
  std::printf("%llu\n", static_cast<unsigned long long>(pair.bytes()));
}
