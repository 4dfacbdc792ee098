#include "disk/checkpoint.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.hh"
#include "base/text.hh"
#include "disk/disk_error.hh"
#include "disk/safe_path.hh"
#include "disk/sealed_json.hh"
#include "disk/small_file.hh"

namespace swarm::disk {
namespace {

constexpr std::uint64_t format_version = 1;

std::uint64_t pieces_of(std::uint64_t bytes_total, std::uint64_t piece_bytes) {
  return bytes_total / piece_bytes + (bytes_total % piece_bytes != 0 ? 1 : 0);
}

Bitfield bits_of(const std::vector<bool>& files) {
  Bitfield bits(files.size());
  for (std::size_t i = 0; i < files.size(); ++i) bits.set(i, files[i]);
  return bits;
}

}  // namespace

std::string checkpoint_path(const std::string& target) { return beside(target, ".progress.json"); }

std::string this_boot_id() {
  // procfs gives sizes of 0, so read_file() would find nothing.
  std::string id;
  if (std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re")) {
    char text[64];
    id.assign(text, std::fread(text, 1, sizeof text, file));
    std::fclose(file);
  }
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

std::string to_json(const Checkpoint& c) {
  JsonWriter json;
  json.number("swarm_progress", format_version);
  json.text("name", c.name);
  json.text("info_hash", to_hex(c.info_hash));
  json.number("bytes_total", c.bytes_total);
  json.number("piece_bytes", c.piece_bytes);
  json.text("boot_id", c.boot_id);
  json.flag("clean", c.clean);
  json.number("files_total", c.files.size());
  json.bytes("files", bits_of(c.files).bytes());
  json.number("bytes_down", c.bytes_down);
  json.number("bytes_up", c.bytes_up);
  json.lists("trackers", c.trackers);
  json.bytes("verified", c.verified.bytes());
  json.bytes("durable", c.durable.bytes());
  json.bytes("stamps", pack(c.stamps));
  return json.sealed();
}

Result<Checkpoint> checkpoint_from_json(std::string_view text) {
  JsonReader json(text);
  if (json.number("swarm_progress", ~0ull) != format_version) json.refuse();
  Checkpoint c;
  c.name = json.text("name");
  const auto info_hash = digest_from_hex<20>(json.text("info_hash"));
  c.bytes_total = json.number("bytes_total", ~0ull);
  c.piece_bytes = static_cast<std::uint32_t>(json.number("piece_bytes", ~std::uint32_t{0}));
  c.boot_id = json.text("boot_id");
  c.clean = json.flag("clean");
  c.bytes_down = json.number("bytes_down", ~0ull);
  c.bytes_up = json.number("bytes_up", ~0ull);
  c.trackers = json.lists("trackers");
  auto stamps = unpack_stamps(json.bytes("stamps"));
  const std::uint64_t files_total = json.number("files_total", ~0ull);
  const auto files = Bitfield::from(json.bytes("files"), static_cast<std::size_t>(files_total));
  const Buffer verified = json.bytes("verified"), durable = json.bytes("durable");
  if (json.ok() && info_hash && stamps && files && c.piece_bytes > 0) {
    // A bitmap of 2^53 pieces would not have fitted into the text; the sizes are compared before anything is made of
    // them.
    const std::uint64_t pieces = pieces_of(c.bytes_total, c.piece_bytes);
    auto v = Bitfield::from(verified, static_cast<std::size_t>(pieces));
    auto d = Bitfield::from(durable, static_cast<std::size_t>(pieces));
    if (v && d) {
      c.info_hash = *info_hash;
      c.stamps = std::move(*stamps);
      for (std::size_t i = 0; i < files->size(); ++i) c.files.push_back((*files)[i]);
      c.verified = std::move(*v);
      c.durable = std::move(*d);
      return c;
    }
  }
  return fail(Exit::integrity, "damaged", "the progress file is damaged",
              "what is on the disk is hashed instead; nothing is lost");
}

Result<void> write_checkpoint(const std::string& path, const Checkpoint& c) {
  if (!c.clean || settle(c.stamps, std::chrono::milliseconds(200))) return replace_file(path, to_json(c), 0666);
  Checkpoint unclean = c;
  unclean.clean = false;
  return replace_file(path, to_json(unclean), 0666);
}

Result<Checkpoint> read_checkpoint(const std::string& path) {
  auto text = read_file(path, sealed_bytes_max);
  if (!text) return tl::unexpected(std::move(text.error()));
  auto c = checkpoint_from_json(*text);
  if (!c) c.error().message = fmt::format("{} is damaged", printable(path));
  return c;
}

Result<void> remove_checkpoint(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return tl::unexpected(system_error("remove", path, errno));
}

}  // namespace swarm::disk
