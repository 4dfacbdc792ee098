#include "cli/preparer.hh"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/sha1.hh"
#include "base/text.hh"
#include "cli/places.hh"
#include "disk/checkpoint.hh"
#include "disk/sources.hh"

namespace swarm::cli {

namespace {

tl::unexpected<Error> interrupted() { return fail(Exit::other, "interrupted", "stopped before everything was read"); }

/// A scanned source, its piece size, and its digests when they are cached.
struct Looked {
  disk::Source source;
  std::uint32_t piece_bytes = 0;
  std::optional<std::vector<Sha1Digest>> cached;
};

disk::SeedCacheKey key_of(const disk::Source& source, std::uint32_t piece_bytes) {
  return {source.absolute, piece_bytes, source.stamps};
}

Result<Looked> look_at(const std::string& path, std::uint32_t piece_bytes, const std::string& cache_folder) {
  auto source = disk::scan(path);
  if (!source) return tl::unexpected(source.error());
  Looked out{std::move(*source), piece_bytes, std::nullopt};
  if (out.piece_bytes == 0) out.piece_bytes = wire::choose_piece_bytes(out.source.bytes_total);
  if (!cache_folder.empty()) out.cached = disk::read_seed_cache(cache_folder, key_of(out.source, out.piece_bytes));
  return out;
}

std::shared_ptr<disk::Storage> seed_storage(std::shared_ptr<const wire::Metainfo> info, const std::string& path,
                                            std::shared_ptr<disk::OpenBudget> budget) {
  disk::StorageOptions options;
  options.writable = false;
  options.budget = std::move(budget);
  return disk::Storage::create(std::move(info), path, std::move(options));
}

/// The torrent of a hashed source.
Result<Prepared> torrent_of(const disk::Source& source, std::uint32_t piece_bytes, std::vector<Sha1Digest> pieces,
                            const NewTorrent& wanted, std::shared_ptr<disk::OpenBudget> budget) {
  wire::NewInfo fresh;
  fresh.name = wanted.name.empty() ? source.name : wanted.name;
  fresh.folder = source.folder;
  fresh.piece_bytes = piece_bytes;
  fresh.files = source.files;
  if (!source.folder && !fresh.files.empty()) fresh.files[0].path = {fresh.name};
  fresh.pieces = std::move(pieces);
  fresh.is_private = wanted.is_private;
  auto info = wire::parse_info(wire::write_info(fresh), wanted.path);
  if (!info) return tl::unexpected(info.error());
  info->trackers = wanted.trackers;
  info->comment = wanted.comment;
  info->web_seeds = wanted.web_seeds;
  info->created_by = "swarm/" SWARM_VERSION;

  Prepared out;
  out.info = std::make_shared<const wire::Metainfo>(std::move(*info));
  out.storage = seed_storage(out.info, source.absolute, std::move(budget));
  out.stamps = source.stamps;
  out.path = source.absolute;
  out.right = Bitfield(out.info->piece_count(), true);
  return out;
}

/// What stands at `path` against a torrent, before anything is read: `right` is empty while that has to be done.
Result<Prepared> compare_sizes(std::shared_ptr<const wire::Metainfo> info, const std::string& path,
                               const std::string& cache_folder, std::shared_ptr<disk::OpenBudget> budget) {
  Prepared out;
  std::error_code not_there;
  const auto real = std::filesystem::canonical(path, not_there);  // Storage follows no links
  out.path = not_there ? absolute_path(path) : real.string();
  out.storage = seed_storage(info, out.path, std::move(budget));
  out.info = info;
  auto stamps = out.storage->stamps();
  if (!stamps) return tl::unexpected(stamps.error());
  out.stamps = std::move(*stamps);
  (void)disk::settle(out.stamps, 2s);  // where clocks are coarse: before anything is read, so that later writes show
  for (std::size_t i = 0; i < info->files.size(); ++i) {
    if (!info->files[i].pad && out.stamps[i].bytes != info->files[i].length) {
      out.right = Bitfield(std::max<std::size_t>(info->piece_count(), 1), false);
      return out;
    }
  }
  if (cache_folder.empty()) return out;
  const auto cached = disk::read_seed_cache(cache_folder, {out.path, info->piece_bytes, out.stamps});
  if (cached && *cached == info->pieces) out.right = Bitfield(info->piece_count(), true);
  return out;
}

/// A download's storage finds the .part, else the target, and reads what is short or missing as wrong, not as an error.
Result<Prepared> open_to_check(std::shared_ptr<const wire::Metainfo> info, const std::string& path) {
  Prepared out;
  std::error_code not_there;
  const auto real = std::filesystem::canonical(path, not_there);
  out.storage = disk::Storage::create(info, not_there ? absolute_path(path) : real.string());
  out.info = std::move(info);
  if (out.storage->place() == disk::Place::nothing) {
    return fail(Exit::integrity, "nothing_there", fmt::format("{} is not there: nothing to check", printable(path)),
                "Say where it is: -d DIR or -o PATH");
  }
  out.path = out.storage->place() == disk::Place::part ? out.storage->part_path() : out.storage->target_path();
  return out;
}

}  // namespace

bool Prepared::may_be_completed() const {
  const auto& files = info->files;
  if (!info->folder || stamps.size() != files.size()) return false;
  bool missing = false, present = false;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (files[i].pad || files[i].length == 0) continue;
    const bool is_there = stamps[i] != disk::FileStamp{};
    if (is_there && stamps[i].bytes != files[i].length) return false;
    (is_there ? present : missing) = true;
  }
  return missing && present;
}

Preparer::Preparer(uv::Loop& loop, uv::Workers& workers, std::shared_ptr<disk::OpenBudget> budget,
                   std::string cache_folder)
    : loop_(loop), workers_(workers), budget_(std::move(budget)), cache_folder_(std::move(cache_folder)) {}

void Preparer::make(NewTorrent wanted, std::size_t threads, Done done) {
  *cancel_ = false;
  const auto job = [path = wanted.path, piece_bytes = wanted.piece_bytes, folder = cache_folder_] {
    return look_at(path, piece_bytes, folder);
  };
  workers_.run(job, [this, wanted = std::move(wanted), threads, done = std::move(done)](Result<Looked> looked) mutable {
    if (*cancel_) return done(interrupted());
    if (!looked) return done(tl::unexpected(looked.error()));
    if (looked->cached) return done(torrent_of(looked->source, looked->piece_bytes, *looked->cached, wanted, budget_));

    begin("hashing", wanted.name.empty() ? looked->source.name : wanted.name, looked->source.bytes_total, {});
    auto hasher = std::make_shared<disk::Hasher>(std::move(looked->source), looked->piece_bytes);
    bytes_done_ = [hasher] { return hasher->bytes_done(); };
    on_all_cores(hasher, threads,
                 [this, hasher, piece_bytes = looked->piece_bytes, wanted = std::move(wanted),
                  done = std::move(done)](Result<void> hashed) mutable {
                   const auto seconds = swarm::seconds(loop_.now() - began_);
                   auto work = end();
                   if (!hashed) return done(tl::unexpected(hashed.error()));
                   const auto remember = [hasher, piece_bytes, folder = cache_folder_, wanted = std::move(wanted),
                                          budget = budget_] {
                     // A cache that cannot be written costs time at the next start, and nothing else.
                     if (!folder.empty())
                       (void)disk::write_seed_cache(folder, key_of(hasher->source(), piece_bytes), hasher->pieces());
                     return torrent_of(hasher->source(), piece_bytes, hasher->pieces(), wanted, budget);
                   };
                   workers_.run(remember, [work, seconds, done = std::move(done)](Result<Prepared> made) {
                     if (made) made->work = work, made->seconds = seconds;
                     done(std::move(made));
                   });
                 });
  });
}

void Preparer::compare(std::shared_ptr<const wire::Metainfo> info, std::string path, std::size_t threads, Done done) {
  *cancel_ = false;
  const auto job = [info, path, folder = cache_folder_, budget = budget_] {
    return compare_sizes(info, path, folder, budget);
  };
  workers_.run(job, [this, info, threads, done = std::move(done)](Result<Prepared> found) mutable {
    if (*cancel_) return done(interrupted());
    if (!found || found->right.size() != 0 || info->piece_count() == 0) return done(std::move(found));

    verify(std::move(*found), threads, [this, done = std::move(done)](Result<Prepared> read) mutable {
      if (!read || !read->right.all() || cache_folder_.empty()) return done(std::move(read));
      const auto remember = [folder = cache_folder_, prepared = std::move(*read)]() mutable {
        const auto& m = *prepared.info;
        const auto after = prepared.storage->stamps();
        if (after && *after == prepared.stamps) {
          (void)disk::write_seed_cache(folder, {prepared.path, m.piece_bytes, prepared.stamps}, m.pieces);
        }
        return std::move(prepared);
      };
      workers_.run(remember, [done = std::move(done)](Prepared made) { done(std::move(made)); });
    });
  });
}

void Preparer::check(std::shared_ptr<const wire::Metainfo> info, std::string path, std::size_t threads, Done done) {
  *cancel_ = false;
  const auto job = [info = std::move(info), path = std::move(path)] { return open_to_check(info, path); };
  workers_.run(job, [this, threads, done = std::move(done)](Result<Prepared> found) mutable {
    if (*cancel_) return done(interrupted());
    if (!found) return done(std::move(found));
    verify(std::move(*found), threads, std::move(done));
  });
}

/// Reads all of it: which pieces are right, and how long that took.
void Preparer::verify(Prepared what, std::size_t threads, Done done) {
  auto verifier = std::make_shared<disk::Verifier>(what.storage, what.info);
  begin("verifying", what.info->name, what.info->bytes_total, [verifier] { return verifier->bytes_done(); });
  on_all_cores(verifier, threads,
               [this, verifier, what = std::move(what), done = std::move(done)](Result<void> read) mutable {
                 what.seconds = swarm::seconds(loop_.now() - began_);
                 what.work = end();
                 if (!read) return done(tl::unexpected(read.error()));
                 what.right = verifier->right();
                 done(std::move(what));
               });
}

std::optional<Preparing> Preparer::progress() const {
  if (!bytes_done_) return std::nullopt;
  Preparing now = what_;
  now.bytes_done = bytes_done_();
  const auto passed = seconds(loop_.now() - began_);
  now.rate = passed > 0 ? static_cast<double>(now.bytes_done) / passed : 0;
  return now;
}

void Preparer::cancel() { *cancel_ = true; }

void Preparer::begin(std::string verb, std::string name, std::uint64_t bytes_total,
                     std::function<std::uint64_t()> bytes_done) {
  what_ = {std::move(verb), std::move(name), 0, bytes_total, 0};
  bytes_done_ = std::move(bytes_done);
  began_ = loop_.now();
}

std::optional<Preparing> Preparer::end() {
  auto last = progress();
  bytes_done_ = {};
  return last;
}

/// Runs engine->work() on several workers; `done` once, when the last has returned, with the first error.
template <class Engine>
void Preparer::on_all_cores(std::shared_ptr<Engine> engine, std::size_t threads,
                            std::function<void(Result<void>)> done) {
  struct Round {
    std::size_t left = 0;
    Result<void> result;
    std::function<void(Result<void>)> done;
  };
  auto round = std::make_shared<Round>();
  round->left = std::max<std::size_t>(threads, 1);
  round->done = std::move(done);
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) {
    workers_.run([engine, cancel = cancel_] { return engine->work(*cancel); },
                 [engine, round, cancel = cancel_](Result<void> worked) {
                   if (!worked && round->result) round->result = std::move(worked);
                   if (--round->left != 0) return;
                   if (round->result && !engine->complete()) round->result = interrupted();
                   round->done(std::move(round->result));
                 });
  }
}

}  // namespace swarm::cli
