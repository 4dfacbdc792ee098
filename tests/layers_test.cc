// The rules of the house, read off the sources: which folder includes which, that base, wire and core stay pure, and
// that nothing half-done or misplaced lies in the tree. Every rule also meets a planted fault, which it must report.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;

namespace {

using Names = std::set<std::string, std::less<>>;
using Complaints = std::vector<std::string>;

const fs::path source_root = SWARM_SOURCE_ROOT;

// cli ──► uv ──► disk ──► core ──► wire ──► base, and sim ──► disk. uv and sim never meet; cli stands above both.
const std::map<std::string, Names, std::less<>> may_include = {
    {"base", {"base"}},
    {"wire", {"wire", "base"}},
    {"core", {"core", "wire", "base"}},
    {"disk", {"disk", "core", "wire", "base"}},
    {"uv", {"uv", "disk", "core", "wire", "base"}},
    {"sim", {"sim", "disk", "core", "wire", "base"}},
    {"cli", {"cli", "uv", "sim", "disk", "core", "wire", "base"}},
};

const std::map<std::string, Names, std::less<>> library_users = {
    {"uv.h", {"uv", "cli"}},
    {"CLI", {"cli"}},
    {"nettle", {"base"}},
    {"mbedtls", {"base", "uv", "cli"}},
};

// What base, wire and core do without: clocks, files, threads, chance.
const Names pure_folders = {"base", "wire", "core"};
const Names impure_headers = {
    "atomic",     "barrier",    "condition_variable", "ctime",      "dirent.h",    "fcntl.h",    "filesystem",
    "fstream",    "future",     "iostream",           "latch",      "mutex",       "poll.h",     "pthread.h",
    "semaphore",  "signal.h",   "shared_mutex",       "stop_token", "sys/epoll.h", "sys/mman.h", "sys/random.h",
    "sys/stat.h", "sys/time.h", "sys/uio.h",          "thread",     "threads.h",   "time.h",     "unistd.h",
};
const Names impure_names = {
    "system_clock", "steady_clock", "high_resolution_clock",
    "utc_clock",    "file_clock",   "clock_gettime",
    "gettimeofday", "timespec_get", "random_device",
    "getrandom",    "getentropy",   "fopen",
    "ifstream",     "ofstream",     "freopen",
    "jthread",      "thread_local", "condition_variable",
    "O_RDONLY",     "O_WRONLY",     "O_RDWR",
    "O_CREAT",
};
// These are ordinary words too: only a call of a free function counts,
const Names impure_calls = {"time",   "clock", "rand",  "srand",  "rand_r",    "drand48",
                            "openat", "creat", "sleep", "usleep", "nanosleep", "getenv"};
// and these make good names for members: only `::open(` counts. (fcntl.h and unistd.h are out of reach anyway.)
const Names impure_globals = {"open", "close", "read", "write", "random"};

const Names top_level = {"meson.build", "README.md", "src",           "subprojects", "tests",  "man",
                         ".ci",         ".git",      ".clang-format", ".clang-tidy", ".cache", ".gitignore"};

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// The tokens of C++, comments left out: words, literals as one `"` or `'`, "::", "->", and any other character by
/// itself.
std::vector<std::string> tokens(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < text.size();) {
    const auto rest = text.substr(i);
    std::size_t length = 1;
    if (rest.starts_with("//")) {
      length = std::min(rest.find('\n'), rest.size());
    } else if (rest.starts_with("/*")) {
      const auto end = rest.find("*/", 2);
      length = end == rest.npos ? rest.size() : end + 2;
    } else if (rest.starts_with("R\"")) {
      const auto open = std::min(rest.find('('), rest.size());
      const auto close = ")" + std::string(rest.substr(2, open - 2)) + "\"";
      const auto end = rest.find(close, open);
      length = end == rest.npos ? rest.size() : end + close.size();
      out.emplace_back("\"");
    } else if (rest[0] == '"' || (rest[0] == '\'' && (i == 0 || !is_word(text[i - 1])))) {  // not 1'000
      while (length < rest.size() && rest[length] != rest[0]) length += rest[length] == '\\' ? 2 : 1;
      length = std::min(length + 1, rest.size());
      out.emplace_back(1, rest[0]);
    } else if (is_word(rest[0])) {
      while (length < rest.size() && is_word(rest[length])) ++length;
      out.emplace_back(rest.substr(0, length));
    } else if (rest.starts_with("::") || rest.starts_with("->")) {
      length = 2;
      out.emplace_back(rest.substr(0, 2));
    } else if (std::isspace(static_cast<unsigned char>(rest[0])) == 0) {
      out.emplace_back(1, rest[0]);
    }
    i += length;
  }
  return out;
}

/// The targets of the #include lines, without quotes or brackets.
std::vector<std::string> includes(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    auto line = text.substr(at, end - at);
    at = end + 1;
    const auto skip = [&line](std::string_view what) {
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      if (!line.starts_with(what)) return false;
      line.remove_prefix(what.size());
      return true;
    };
    if (!skip("#") || !skip("include") || !skip("") || line.empty()) continue;
    const auto close = line.find(line[0] == '<' ? '>' : '"', 1);
    if (close != line.npos) out.emplace_back(line.substr(1, close - 1));
  }
  return out;
}

std::string first_part(std::string_view path) { return std::string(path.substr(0, path.find('/'))); }

/// Does a `::` with no name before it stand before the word at `i`?
bool is_global(const std::vector<std::string>& words, std::size_t i) {
  return i > 0 && words[i - 1] == "::" &&
         (i == 1 || words[i - 2] == "return" || !(is_word(words[i - 2][0]) || words[i - 2] == ">"));
}

/// Is the word at `i` called as a free function? `x.time()`, `C::time()` and a declaration `Instant time()` are not.
bool is_free_call(const std::vector<std::string>& words, std::size_t i) {
  if (i + 1 >= words.size() || words[i + 1] != "(") return false;
  if (i == 0) return true;
  const auto& before = words[i - 1];
  if (before == "." || before == "->" || before == "~") return false;
  if (before == "::") return is_global(words, i) || words[i - 2] == "std";
  return before == "return" || before == "else" || before == "do" || before == "case" ||
         !(is_word(before[0]) || before == ">");
}

/// What is wrong with src/PATH, by its includes and its words.
Complaints source_complaints(const std::string& path, std::string_view text) {
  Complaints out;
  const auto folder = first_part(path);
  const auto allowed = may_include.find(folder);
  if (allowed == may_include.end()) return {path + ": no such folder in the design"};
  const bool pure = pure_folders.contains(folder);

  for (const auto& target : includes(text)) {
    const auto to = first_part(target);
    if (may_include.contains(to) && target != to && !allowed->second.contains(to)) {
      out.push_back(path + ": " + folder + " must not include " + target);
    }
    if (const auto users = library_users.find(to); users != library_users.end() && !users->second.contains(folder)) {
      out.push_back(path + ": " + folder + " must not include " + target);
    }
    if (target.ends_with(".hh") && !may_include.contains(to)) {
      out.push_back(path + ": includes are written from src/: " + target);
    }
    if (pure && impure_headers.contains(target)) out.push_back(path + ": " + folder + " must not include " + target);
  }
  if (!pure) return out;

  const auto words = tokens(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (impure_names.contains(words[i]) || words[i].starts_with("pthread_") ||
        (impure_calls.contains(words[i]) && is_free_call(words, i)) ||
        (impure_globals.contains(words[i]) && is_global(words, i))) {
      out.push_back(path + ": " + folder + " must not name " + words[i]);
    }
  }
  return out;
}

/// Marks of unfinished work, spelt in two halves since this file is read too.
const std::vector<std::string> leftovers = {std::string("TO") + "DO", std::string("FIX") + "ME"};

Complaints leftover_complaints(const std::string& path, std::string_view text) {
  Complaints out;
  if (text.find('\0') != text.npos) return out;  // not a text
  for (const auto& word : leftovers) {
    if (text.find(word) != text.npos) out.push_back(path + ": " + word);
  }
  return out;
}

Complaints top_level_complaints(const std::vector<std::string>& entries) {
  Complaints out;
  for (const auto& entry : entries) {
    if (!top_level.contains(entry) && !entry.starts_with("build")) out.push_back(entry + ": not at the top level");
  }
  return out;
}

std::string lines(const Complaints& complaints) {
  std::string out;
  for (const auto& complaint : complaints) out += "\n  " + complaint;
  return out;
}

bool is_source(const fs::path& path) { return path.extension() == ".hh" || path.extension() == ".cc"; }

}  // namespace

TEST_CASE("sources include only what stands to their right, and base, wire and core stay pure") {
  std::size_t read_count = 0;
  Complaints all;
  for (const auto& entry : fs::recursive_directory_iterator(source_root / "src")) {
    if (!entry.is_regular_file() || !is_source(entry.path())) continue;
    ++read_count;
    const auto path = fs::relative(entry.path(), source_root / "src").generic_string();
    const auto found = source_complaints(path, read(entry.path()));
    all.insert(all.end(), found.begin(), found.end());
  }
  CHECK_MESSAGE(all.empty(), lines(all));
  CHECK(read_count > 0);
  MESSAGE(read_count << " sources read");
}

TEST_CASE("nothing in the tree waits to be finished") {
  std::size_t read_count = 0;
  Complaints all;
  for (const auto& top : fs::directory_iterator(source_root)) {
    const auto name = top.path().filename().string();
    if (!top_level.contains(name) || name == ".git" || name == ".cache") continue;
    const auto check = [&](const fs::path& path) {
      ++read_count;
      const auto found = leftover_complaints(fs::relative(path, source_root).generic_string(), read(path));
      all.insert(all.end(), found.begin(), found.end());
    };
    if (top.is_regular_file()) check(top.path());
    if (!top.is_directory()) continue;
    for (auto it = fs::recursive_directory_iterator(top.path()); it != fs::recursive_directory_iterator(); ++it) {
      if (name == "subprojects" && it->is_directory()) it.disable_recursion_pending();  // other people's sources
      if (it->is_regular_file() && it->path().extension() != ".pyc") check(it->path());
    }
  }
  CHECK_MESSAGE(all.empty(), lines(all));
  CHECK(read_count > 0);
}

TEST_CASE("the top level holds what the design names, and nothing else") {
  std::vector<std::string> entries;
  for (const auto& entry : fs::directory_iterator(source_root)) entries.push_back(entry.path().filename().string());
  const auto all = top_level_complaints(entries);
  CHECK_MESSAGE(all.empty(), lines(all));
  CHECK(entries.size() >= 4);
}

TEST_CASE("canary: each arrow against the direction is reported") {
  for (const auto& from : may_include) {
    for (const auto& to : may_include) {
      const auto text = "#include <vector>\n  #  include \"" + to.first + "/any.hh\"\n";
      CAPTURE(from.first);
      CAPTURE(text);
      CHECK(source_complaints(from.first + "/planted.cc", text).empty() == from.second.contains(to.first));
    }
  }
  CHECK(may_include.at("uv").count("sim") + may_include.at("sim").count("uv") == 0);
  CHECK_FALSE(source_complaints("core/planted.cc", "#include <uv/loop.hh>\n").empty());
  CHECK_FALSE(source_complaints("core/planted.cc", "#include \"sibling.hh\"\n").empty());
  CHECK_FALSE(source_complaints("extra/planted.cc", "").empty());
  CHECK_FALSE(source_complaints("disk/planted.cc", "#include <uv.h>\n").empty());
  CHECK_FALSE(source_complaints("sim/planted.cc", "#include <uv.h>\n").empty());
  CHECK(source_complaints("uv/planted.cc", "#include <uv.h>\n").empty());
}

TEST_CASE("canary: each impure header, name and call is reported in base, wire and core, and there only") {
  std::vector<std::string> faults = {
      "auto t = std::chrono::steady_clock::now();",
      "auto t = time(nullptr);",
      "return std::time(nullptr);",
      "return ::time(nullptr);",
      "int fd = open(path, O_RDONLY);",
      "int fd = ::open(path, 0);",
      "int n = ::random();",
      "FILE* f = std::fopen(path, \"r\");",
      "std::random_device device;",
      "int n = rand() % 6;",
      "{ srand(1); }",
      "pthread_create(&t, nullptr, run, nullptr);",
      "auto s = R\"(a \" quote)\"; auto t = time(nullptr);",
      "auto n = 1'000; auto t = time(nullptr);",
      "auto s = \"//\"; auto t = time(nullptr);",
  };
  for (const auto& header : impure_headers) faults.push_back("#include <" + header + ">\n");
  for (const auto& name : impure_names) faults.push_back("use(" + name + ");");
  for (const auto& call : impure_calls) faults.push_back("x = " + call + "(y);");
  for (const auto& fault : faults) {
    CAPTURE(fault);
    for (const auto& folder : pure_folders) CHECK_FALSE(source_complaints(folder + "/planted.cc", fault).empty());
    CHECK(source_complaints("disk/planted.cc", fault).empty());
  }
  for (const auto* fine :
       {"// time() is an argument\n", "/* steady_clock */", "log(\"time(0)\");", "x.time();", "x->open(y);",
        "Instant time();", "std::optional<Instant> time();", "Clock::time();", "on_time(now);",
        "std::chrono::nanoseconds next;", "bool open = true;", "return open(*start);",
        "Client::Client(Seed s) : random(s) {", "Event Session::open(ByteView start) {"}) {
    CAPTURE(fine);
    CHECK(source_complaints("core/planted.cc", fine).empty());
  }
}

TEST_CASE("canary: a leftover and a stray entry are reported") {
  CHECK(leftover_complaints("planted", "x // " + leftovers[0] + ": later\n" + leftovers[1]).size() == 2);
  CHECK(leftover_complaints("planted", "all done").empty());
  CHECK(top_level_complaints({"meson.build", "src", "build-asan", "docs", "notes.txt"}).size() == 2);
}
