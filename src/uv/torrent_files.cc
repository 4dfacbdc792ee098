#include "uv/torrent_files.hh"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/text.hh"
#include "disk/checkpoint.hh"

namespace swarm::uv {

namespace {

constexpr std::uint64_t trip_bytes = 256 * 1024;  ///< rule 5

disk::Checkpoint checkpoint_of(const wire::Metainfo& info, const disk::Storage& storage, core::Claims claims) {
  disk::Checkpoint c;
  c.files = storage.files();
  c.info_hash = info.info_hash;
  c.name = info.name;
  c.bytes_total = info.bytes_total;
  c.piece_bytes = info.piece_bytes;
  c.boot_id = disk::this_boot_id();
  c.durable = claims.verified;
  c.verified = std::move(claims.verified);
  c.bytes_down = claims.bytes_down;
  c.bytes_up = claims.bytes_up;
  c.trackers = info.trackers;
  return c;
}

/// Null for none.
std::shared_ptr<const std::vector<disk::FileStamp>> shared(std::vector<disk::FileStamp> stamps) {
  return stamps.empty() ? nullptr : std::make_shared<const std::vector<disk::FileStamp>>(std::move(stamps));
}

/// On a worker. The claims are older than this sync, so what they name is durable once it has succeeded. A download that ends
/// before its first byte claims nothing and leaves nothing behind.
Result<void> write_claims(disk::Storage& storage, disk::Checkpoint c, bool clean) {
  if (auto synced = storage.sync(); !synced) return synced;
  if (c.verified.none() && storage.place() == disk::Place::nothing) {
    return disk::remove_checkpoint(disk::checkpoint_path(storage.target_path()));
  }
  if (clean) {
    // A write that leaves no trace in the stamps would go unnoticed: then it is no clean stop.
    if (auto stamps = storage.stamps(); stamps && disk::settle(*stamps, std::chrono::milliseconds(100))) {
      c.clean = true;
      c.stamps = std::move(*stamps);
    }
  }
  return disk::write_checkpoint(disk::checkpoint_path(storage.target_path()), c);
}

struct FinishedFiles {
  std::string path;
  std::vector<disk::FileStamp> stamps;
};

/// On a worker.
Result<FinishedFiles> give_names(disk::Storage& storage) {
  auto path = storage.finish();
  if (!path) return tl::unexpected(std::move(path.error()));
  auto stamps = storage.stamps();
  // One that stays is found to be of no use by the next start; the download is whole in any case.
  (void)disk::remove_checkpoint(disk::checkpoint_path(storage.target_path()));
  return FinishedFiles{std::move(*path), stamps ? std::move(*stamps) : std::vector<disk::FileStamp>{}};
}

}  // namespace

TorrentFiles::TorrentFiles(Workers& workers, std::shared_ptr<const wire::Metainfo> info,
                           std::shared_ptr<disk::Storage> storage, std::vector<disk::FileStamp> stamps, Events events)
    : workers_(workers),
      info_(std::move(info)),
      storage_(std::move(storage)),
      queue_(storage_, info_),
      stamps_(shared(std::move(stamps))),
      events_(std::move(events)) {}

bool TorrentFiles::start_jobs() {
  std::vector<std::unique_ptr<disk::PieceJob>> jobs;
  for (std::uint64_t bytes = 0; bytes < trip_bytes; bytes += jobs.back()->bytes()) {
    if (ending_ && queue_.pending_bytes() == 0) break;  // rule 3: only checks are left
    auto job = queue_.next_job();
    if (!job) break;
    jobs.push_back(std::move(job));
  }
  if (jobs.empty()) return false;
  ++trips_;
  workers_.run(
      [jobs = std::move(jobs)]() mutable {
        for (const auto& job : jobs) job->run();
        return std::move(jobs);
      },
      [this](std::vector<std::unique_ptr<disk::PieceJob>> done) { on_jobs(std::move(done)); });
  return true;
}

void TorrentFiles::on_jobs(std::vector<std::unique_ptr<disk::PieceJob>> jobs) {
  --trips_;
  for (auto& job : jobs) {
    const auto result = queue_.done(std::move(job));
    if (!result) {
      fail(result.error());
    } else if (result->outcome != disk::PieceResult::Outcome::more) {
      events_.on_piece(*result);
    }
  }
  next_chore();
  events_.on_trip_done();
  events_.turn();
}

void TorrentFiles::save(bool clean) {
  save_asked_ = true;
  clean_asked_ = clean_asked_ || clean;
  ending_ = ending_ || clean;
  next_chore();
}

void TorrentFiles::finish() {
  finish_asked_ = true;
  next_chore();
}

void TorrentFiles::next_chore() {
  if (chore_ != Chore::none) return;
  if (finish_asked_) return begin_finish();
  if (!save_asked_ || (clean_asked_ && (queue_.pending_bytes() > 0 || trips_ > 0))) return;
  begin_save(std::exchange(clean_asked_, false));
}

void TorrentFiles::begin_save(bool clean) {
  save_asked_ = false;
  chore_ = Chore::save;
  const auto saved = [this](const Result<void>& result) {
    chore_ = Chore::none;
    if (!result) fail(result.error());
    events_.on_saved();
    next_chore();
    events_.turn();
  };
  if (finished_) {  // rule 1
    workers_.run([] { return Result<void>{}; }, saved);
    return;
  }
  workers_.run(
      [storage = storage_, c = checkpoint_of(*info_, *storage_, events_.claims()),
       clean = clean && events_.all_checked()]() mutable { return write_claims(*storage, std::move(c), clean); },
      saved);
}

void TorrentFiles::begin_finish() {
  finish_asked_ = false;
  chore_ = Chore::finish;
  workers_.run([storage = storage_] { return give_names(*storage); },
               [this](Result<FinishedFiles> result) {
                 chore_ = Chore::none;
                 if (result) {
                   finished_ = true;
                   finished_path_ = std::move(result->path);
                   stamps_ = shared(std::move(result->stamps));
                   events_.on_finished();
                 } else {
                   fail(result.error());
                 }
                 next_chore();
                 events_.turn();
               });
}

ChangeWatch::Files TorrentFiles::to_watch() const {
  if (failed_ || ending_) return {};
  return {storage_, stamps_};
}

void TorrentFiles::on_changed() {
  if (!ending_) fail(changed());
}

void TorrentFiles::on_read_failed(const Error& error) { fail(stamps_ ? changed() : error); }

/// The first failure is the one to tell: others follow from it.
void TorrentFiles::fail(const Error& error) {
  if (!std::exchange(failed_, true)) events_.on_failed(error);
}

Error TorrentFiles::changed() const {
  return {Exit::integrity, "changed",
          fmt::format("{} changed on disk since hashing; stopped sharing it", printable(info_->name)), ""};
}

}  // namespace swarm::uv
