#include "uv/driver_parts.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "disk/checkpoint.hh"

namespace swarm::uv {

namespace {

constexpr std::size_t lookups_max = 64;

std::vector<std::vector<std::string>> usable(std::vector<std::vector<std::string>> trackers) {
  for (auto& tier : trackers) {
    std::erase_if(tier, [](const std::string& url) {
      return !url.starts_with("http://") && !url.starts_with("https://") && !url.starts_with("udp://");
    });
  }
  std::erase_if(trackers, [](const auto& tier) { return tier.empty(); });
  return trackers;
}

core::TorrentInfo info_for_core(const std::shared_ptr<const wire::Metainfo>& metainfo,
                                std::vector<std::vector<std::string>> trackers) {
  const wire::Metainfo& info = *metainfo;
  core::TorrentInfo out;
  out.info_hash = info.info_hash;
  out.name = info.name;
  out.bytes_total = info.bytes_total;
  out.piece_bytes = info.piece_bytes;
  out.pieces = info.piece_count();
  out.is_private = info.is_private;
  out.trackers = usable(trackers.empty() ? info.trackers : std::move(trackers));
  out.metadata = {metainfo, &info.info};  // lives as long as the metainfo does
  return out;
}

}  // namespace

void Driver::add(AddDownload download, std::function<void(Result<Added>)> done) {
  struct Looked {
    std::shared_ptr<disk::Storage> storage;
    Result<disk::Found> found;
  };
  download.storage.files = download.files;
  auto look = [info = download.info, target = download.target, options = download.storage]() -> Looked {
    Looked looked{disk::Storage::create(info, target, options), disk::Found{}};
    *looked.found = disk::find_progress(*looked.storage, *info);
    if (auto space = looked.storage->check_space(); !space) looked.found = tl::unexpected(std::move(space.error()));
    return looked;
  };
  auto then = [p = parts_.get(), download = std::move(download), done = std::move(done)](Looked looked) mutable {
    if (p->stopping) return done(fail(Exit::other, "stopping", "the program is stopping"));
    if (!looked.found) return done(tl::unexpected(std::move(looked.found.error())));
    core::AddTorrent add;
    if (!looked.storage->files().empty()) add.wanted = looked.storage->wanted();
    add.info = info_for_core(download.info, std::move(download.trackers));
    add.swarm_trackers = std::move(download.swarm_trackers);
    add.peers = std::move(download.peers);
    add.sequential = download.sequential;
    auto web = std::make_unique<WebContent>(download.info, download.web_seeds);
    add.info.web_seeds = static_cast<std::uint32_t>(web->urls.size());
    Added added;
    added.resumed = looked.found->anything;
    added.pieces_verified = static_cast<std::uint32_t>(looked.found->verified.count());
    added.pieces_unchecked = static_cast<std::uint32_t>(looked.found->unchecked.size());
    add.resume = {std::move(looked.found->verified), std::move(looked.found->unchecked), looked.found->bytes_down,
                  looked.found->bytes_up};
    added.torrent = p->add_files(std::move(add), std::move(download.info), std::move(looked.storage), {});
    p->torrents[number(added.torrent)].web = std::move(web);
    done(added);
    p->turn();
  };
  parts_->workers.run(std::move(look), std::move(then));
}

TorrentId Driver::add_seed(AddSeed seed) {
  core::AddTorrent add;
  add.info = info_for_core(seed.info, std::move(seed.trackers));
  add.resume.verified = std::move(seed.verified);
  add.swarm_trackers = std::move(seed.swarm_trackers);
  add.peers = std::move(seed.peers);
  add.seed = true;
  const auto id =
      parts_->add_files(std::move(add), std::move(seed.info), std::move(seed.storage), std::move(seed.stamps));
  parts_->turn();
  return id;
}

TorrentId Driver::add_magnet(AddMagnet magnet, Found done) {
  Parts& p = *parts_;
  core::AddTorrent add;
  add.magnet = true;
  add.info.info_hash = magnet.info_hash;
  add.info.name = std::move(magnet.name);
  add.info.trackers = usable(std::move(magnet.trackers));
  add.swarm_trackers = std::move(magnet.swarm_trackers);
  add.peers = std::move(magnet.peers);
  const TorrentId id = p.client->add(std::move(add), p.now());
  p.torrents.resize(number(id) + std::size_t{1});
  p.torrents[number(id)].info_hash = magnet.info_hash;
  p.torrents[number(id)].on_metadata = std::move(done);
  p.turn();
  return id;
}

/// A torrent that is known by its info-hash only, so far.
std::optional<TorrentId> Driver::Parts::magnet(const InfoHash& info_hash) const {
  const auto id = client->find(info_hash);
  return id && !torrents[number(*id)].files ? id : std::nullopt;
}

/// The files are there before the client's actions about them are carried out.
TorrentId Driver::Parts::add_files(core::AddTorrent add, std::shared_ptr<const wire::Metainfo> info,
                                   std::shared_ptr<disk::Storage> storage, std::vector<disk::FileStamp> stamps) {
  const auto put_files = [&](TorrentId id) {
    torrents[number(id)].files = std::make_unique<TorrentFiles>(workers, std::move(info), std::move(storage),
                                                                std::move(stamps), files_events(id));
    return id;
  };
  if (const auto known = magnet(add.info.info_hash)) {
    put_files(*known);
    for (const Endpoint& peer : add.peers) client->add_peer(*known, peer, now());
    client->set_info(*known, {std::move(add.info), std::move(add.resume), std::move(add.wanted), add.sequential},
                     now());
    return *known;
  }
  const TorrentId id = client->add(std::move(add), now());
  torrents.resize(number(id) + std::size_t{1});
  return put_files(id);
}

void Driver::add_peer(TorrentId torrent, const HostPort& peer) {
  Parts& p = *parts_;
  const auto failed = [&p, torrent, peer](std::string why) {
    p.notices.push_back(core::TrackerNews{torrent, fmt::format("{}:{}", peer.host, peer.port), false, std::move(why)});
    p.turn();
  };
  if (p.lookups.size() >= lookups_max) return failed("too many names to look up at once");
  const auto id = p.next_lookup++;
  p.lookups[id] = std::make_unique<Lookup>(
      p.loop, peer.host, [&p, id, torrent, peer, failed](const Result<std::vector<IpAddress>>& found) {
        p.lookups.erase(id);
        if (!found) return failed(found.error().message);
        for (const IpAddress& address : *found) p.client->add_peer(torrent, {address, peer.port}, p.now());
        p.turn();
      });
}

void Driver::remove(TorrentId torrent) {
  parts_->client->remove(torrent, parts_->now());
  parts_->turn();
}

void Driver::Parts::on_metadata(TorrentId id, bool right, Result<wire::Metainfo> info) {
  auto& torrent = torrents[number(id)];
  if (!right) {
    client->on_metadata_wrong(id, now());
  } else if (const auto done = std::exchange(torrent.on_metadata, {})) {
    info ? done(std::make_shared<const wire::Metainfo>(std::move(*info))) : done(tl::unexpected(info.error()));
  }
  turn();
}

}  // namespace swarm::uv
