// Runs a fuzz target over inputs made from its examples: the ordinary suite meets hostile bytes with any compiler.
//
//   fuzz_NAME [--seed S] [--from I] [--runs N]     inputs I … I+N-1 of seed S; each depends on S and its number only
//   fuzz_NAME FILE...                              these files
//
// For a search that follows coverage, configure with CXX=clang++ -Dcpp_args=-fsanitize=fuzzer-no-link,address
// -Dcpp_link_args=-fsanitize=address and build tests/fuzz/libfuzzer_NAME.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "base/random.hh"
#include "fuzz/target.hh"

using namespace swarm;

extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

constexpr std::size_t input_bytes_max = 64 * 1024;

std::uint64_t seed = 1;
std::uint64_t current = 0;

void tell_input() {
  std::fprintf(stderr, "the input was --seed %llu --from %llu --runs 1\n", 0ull + seed, 0ull + current);
}

void on_signal(int signal) {
  tell_input();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::size_t place_in(Random& random, const std::string& text) { return random.below(text.size() + 1); }

/// One small step away from a good input.
void mutate(std::string& text, const std::vector<std::string>& examples, Random& random) {
  constexpr std::string_view grammar = "ilde0123456789:-";
  static const std::vector<std::string> numbers = {"0",
                                                   "-0",
                                                   "-1",
                                                   "00",
                                                   "1",
                                                   "99999999",
                                                   "4294967295",
                                                   "4294967296",
                                                   "9223372036854775807",
                                                   "9223372036854775808",
                                                   "18446744073709551616"};
  const auto at = place_in(random, text);
  const auto length = random.below(16);
  switch (random.below(10)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << random.below(8)));
      break;
    case 1:
      if (at < text.size()) text[at] = static_cast<char>(random.below(256));
      break;
    case 2:
      if (at < text.size()) text[at] = grammar[random.below(grammar.size())];
      break;
    case 3:
      text.erase(at, length);
      break;
    case 4:
      text.insert(at, text.substr(place_in(random, text), length));
      break;
    case 5:
      for (std::size_t i = 0; i < length; ++i)
        text.insert(text.begin() + static_cast<std::ptrdiff_t>(at), grammar[random.below(grammar.size())]);
      break;
    case 6:
      text.insert(at, numbers[random.below(numbers.size())]);
      break;
    case 7:
      if (const auto digit = text.find_first_of("0123456789", at); digit != text.npos)
        text[digit] = static_cast<char>('0' + random.below(10));
      break;
    case 8: {
      const auto& other = examples[random.below(examples.size())];
      text = text.substr(0, at) + other.substr(place_in(random, other));
      break;
    }
    default:
      text.resize(at);
  }
  if (text.size() > input_bytes_max) text.resize(input_bytes_max);
}

std::string input(std::uint64_t number, const std::vector<std::string>& examples) {
  Random random(seed * 0x9e3779b97f4a7c15u + number);
  if (random.below(16) == 0) {
    Buffer noise(random.below(200));
    random.fill(noise);
    return std::string(as_text(noise));
  }
  auto text = examples[random.below(examples.size())];
  for (auto steps = random.below(6); steps > 0; --steps) mutate(text, examples, random);
  return text;
}

void run(std::string_view text) {
  const auto copy = to_buffer(text);  // exactly as long as it is, so that a sanitizer sees each byte read beyond it
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

int run_files(int count, char** paths) {
  for (int i = 0; i < count; ++i) {
    std::ifstream file(paths[i], std::ios::binary);
    run(std::string(std::istreambuf_iterator<char>(file), {}));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t from = 0;
  std::uint64_t runs = 100'000;
  int i = 1;
  for (; i + 1 < argc && std::string_view(argv[i]).starts_with("--"); i += 2) {
    const std::string_view option = argv[i];
    auto& value = option == "--seed" ? seed : option == "--from" ? from : runs;
    value = std::strtoull(argv[i + 1], nullptr, 10);
  }
  if (i < argc) return run_files(argc - i, argv + i);

  std::signal(SIGABRT, on_signal);
  std::signal(SIGSEGV, on_signal);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(tell_input);
  const auto examples = test::examples();
  for (const auto& example : examples) run(example);
  const bool examples_are_good = test::accepted >= examples.size();
  for (current = from; current < from + runs; ++current) run(input(current, examples));
  std::printf("seed %llu: %llu inputs, %llu accepted\n", 0ull + seed, 0ull + runs, 0ull + test::accepted);
  return examples_are_good ? 0 : 1;
}
