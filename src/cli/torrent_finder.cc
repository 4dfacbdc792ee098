#include "cli/torrent_finder.hh"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/text.hh"
#include "cli/options.hh"
#include "wire/magnet.hh"

namespace swarm::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t names_told = 5;  // of a catalogue that has not what was asked for

std::string torrent_target(const std::string& name) {
  return fmt::format("/t/{}.torrent", percent_encode(as_bytes(name)));
}

Result<FoundTorrent> parsed(const Result<wire::HttpResponse>& reply, const std::string& called) {
  auto info = wire::parse_metainfo(reply->body, printable(called));
  if (!info) return tl::unexpected(info.error());
  return FoundTorrent{std::make_shared<const wire::Metainfo>(std::move(*info)), {}, {}};
}

}  // namespace

WhatKind kind_of(const std::string& what, bool have_tracker) {
  if (wire::is_magnet(what)) return WhatKind::magnet;
  if (what.starts_with("http://") || what.starts_with("https://")) return WhatKind::url;
  std::error_code none;
  const bool exists = fs::is_regular_file(what, none);
  if (exists && (what.ends_with(".torrent") || what.find('/') != what.npos || !have_tracker)) return WhatKind::file;
  if (what.size() == 40 && digest_from_hex<20>(what)) return WhatKind::info_hash;
  if (what.find('/') != what.npos || (!have_tracker && what.ends_with(".torrent"))) return WhatKind::file;
  return WhatKind::name;
}

Result<wire::Metainfo> read_torrent(const std::string& path) {
  std::error_code failed;
  const auto shown = printable(path);
  const auto status = fs::status(path, failed);
  if (!fs::exists(status)) return fail(Exit::not_found, "not_found", fmt::format("{} does not exist", shown));
  if (fs::is_directory(status)) return fail(Exit::usage, "not_a_file", fmt::format("{} is a folder", shown));
  std::ifstream file(path, std::ios::binary);
  Buffer bytes;
  char block[65536];
  while (file.read(block, sizeof block) || file.gcount() > 0) {
    append(bytes, as_bytes({block, static_cast<std::size_t>(file.gcount())}));
    if (bytes.size() > uv::torrent_bytes_max) {
      return fail(Exit::integrity, "not_a_torrent",
                  fmt::format("{} is too large for a .torrent ({})", shown, size_text(fs::file_size(path, failed))));
    }
  }
  if (!file.eof()) {
    return fail(Exit::disk, "cannot_read", fmt::format("cannot read {}: {}", shown, std::strerror(errno)));
  }
  return wire::parse_metainfo(bytes, shown);
}

TorrentFinder::TorrentFinder(uv::HttpClient& http, uv::Workers& workers, std::vector<FoundTracker> trackers,
                             std::string command)
    : http_(http), workers_(workers), trackers_(std::move(trackers)), command_(std::move(command)) {}

void TorrentFinder::find(const std::string& what, Done done) {
  switch (kind_of(what, !trackers_.empty())) {
    case WhatKind::file:
      return read_file(what, std::move(done));
    case WhatKind::url:
      return fetch(what, what, std::move(done));
    case WhatKind::name:
      return by_name(what, std::move(done));
    case WhatKind::info_hash:
      return by_magnet({.info_hash = *digest_from_hex<20>(what)}, {}, std::move(done));
    case WhatKind::magnet:
      break;
  }
  const auto magnet = wire::parse_magnet(what);
  if (!magnet) return done(tl::unexpected(magnet.error()));
  std::vector<TrackerAddress> named;
  for (const auto& url : magnet->trackers) {
    if (auto address = parse_tracker(url)) named.push_back(std::move(*address));
  }
  if (named.empty()) return by_magnet(*magnet, {}, std::move(done));
  find_trackers(http_, std::move(named),
                [this, magnet, done = std::move(done)](std::vector<FoundTracker> found) mutable {
                  by_magnet(*magnet, std::move(found), std::move(done));
                });
}

/// A catalogue may have its .torrent, or one of the addresses in the link; else the peers are asked.
void TorrentFinder::by_magnet(const wire::Magnet& magnet, std::vector<FoundTracker> named, Done done) {
  auto among = trackers_;
  among.insert(among.end(), named.begin(), named.end());
  const auto called = magnet.name.empty() ? to_hex(magnet.info_hash) : magnet.name;
  by_hash(magnet.info_hash, called, std::move(among),
          [this, magnet, named = std::move(named), done = std::move(done)](Result<FoundTorrent> torrent) {
            if (torrent) return done(FoundTorrent{torrent->info, named, magnet});
            by_urls(magnet, 0, [magnet, named, done](std::shared_ptr<const wire::Metainfo> info) {
              done(FoundTorrent{std::move(info), named, magnet});
            });
          });
}

/// Nothing when none of them has it.
void TorrentFinder::by_urls(const wire::Magnet& magnet, std::size_t index,
                            std::function<void(std::shared_ptr<const wire::Metainfo>)> done) {
  if (index == magnet.torrent_urls.size()) return workers_.run([] {}, [done = std::move(done)] { done(nullptr); });
  const auto& url = magnet.torrent_urls[index];
  fetch(url, url, [this, magnet, index, done = std::move(done)](const Result<FoundTorrent>& torrent) {
    if (torrent && torrent->info->info_hash == magnet.info_hash) return done(torrent->info);
    by_urls(magnet, index + 1, done);
  });
}

void TorrentFinder::read_file(const std::string& path, Done done) {
  workers_.run([path] { return read_torrent(path); },
               [done = std::move(done)](Result<wire::Metainfo> info) {
                 if (!info) return done(tl::unexpected(info.error()));
                 done(FoundTorrent{std::make_shared<const wire::Metainfo>(std::move(*info)), {}, {}});
               });
}

void TorrentFinder::fetch(const std::string& url, const std::string& called, Done done) {
  uv::HttpAsk ask;
  ask.url = url;
  ask.body_bytes_max = uv::torrent_bytes_max;
  http_.ask(std::move(ask), [called, done = std::move(done)](const Result<wire::HttpResponse>& reply) {
    if (!reply) {
      Error error = reply.error();
      if (error.exit == Exit::unreachable) error.hint = "Check the address";
      return done(tl::unexpected(std::move(error)));
    }
    if (reply->status == 200) return done(parsed(reply, called));
    done(fail(reply->status == 404 || reply->status == 410 ? Exit::not_found : Exit::unreachable, "http_status",
              fmt::format("{} answered {} {}", printable(called), reply->status, wire::http_reason(reply->status)),
              "Check the address"));
  });
}

void TorrentFinder::by_name(const std::string& name, Done done) {
  const auto catalogue = std::ranges::find(trackers_, FoundTracker::Kind::swarm, &FoundTracker::kind);
  if (catalogue == trackers_.end()) {
    return done(tl::unexpected(trackers_.empty() ? no_tracker_error(command_) : trackers_.front().error));
  }
  // All catalogues are asked: one name for two contents is a question that only the person can answer.
  struct Round {
    std::vector<std::pair<TrackerAddress, Result<FoundTorrent>>> found;
    std::size_t left = 0;
  };
  auto round = std::make_shared<Round>();
  for (const auto& t : trackers_) round->left += t.kind == FoundTracker::Kind::swarm ? 1 : 0;
  for (const auto& t : trackers_) {
    if (t.kind != FoundTracker::Kind::swarm) continue;
    uv::HttpAsk ask;
    ask.url = t.address.base;
    ask.request.target = torrent_target(name);
    ask.body_bytes_max = uv::torrent_bytes_max;
    http_.ask(std::move(ask), [this, round, name, address = t.address, done](const Result<wire::HttpResponse>& reply) {
      if (!reply) {
        round->found.emplace_back(address, tl::unexpected(tracker_error(address, reply.error())));
      } else if (reply->status == 200) {
        round->found.emplace_back(address, parsed(reply, name));
      } else {
        round->found.emplace_back(address, tl::unexpected(api_error(address, *reply)));
      }
      if (--round->left != 0) return;
      const std::pair<TrackerAddress, Result<FoundTorrent>>* first = nullptr;
      for (const auto& found : round->found) {
        if (!found.second) continue;
        if (first != nullptr && first->second->info->info_hash != found.second->info->info_hash) {
          return done(fail(Exit::usage, "ambiguous",
                           fmt::format("'{}' is one thing on {} and another on {}", printable(name), first->first.label,
                                       found.first.label),
                           fmt::format("Say which: -t {}", first->first.typed)));
        }
        if (first == nullptr) first = &found;
      }
      if (first != nullptr) return done(first->second);
      for (const auto& [where, result] : round->found) {
        if (result.error().exit == Exit::not_found) return not_shared(name, where, done);
      }
      done(tl::unexpected(round->found.front().second.error()));
    });
  }
}

void TorrentFinder::by_hash(const InfoHash& hash, const std::string& called, std::vector<FoundTracker> among,
                            Done done) {
  const auto at = std::ranges::find(among, FoundTracker::Kind::swarm, &FoundTracker::kind);
  if (at == among.end()) {
    return done(fail(Exit::not_found, "not_found", fmt::format("{} is in no catalogue", printable(called))));
  }
  const auto address = at->address;
  auto rest = std::vector<FoundTracker>(at + 1, among.end());
  uv::HttpAsk ask;
  ask.url = address.base;
  ask.request.target = "/api/v1/files";
  ask.body_bytes_max = 16u << 20;
  http_.ask(std::move(ask), [this, hash, called, address, rest = std::move(rest),
                             done = std::move(done)](const Result<wire::HttpResponse>& reply) mutable {
    if (const auto files = reply ? wire::files_from_json(as_text(reply->body)) : tl::unexpected(reply.error())) {
      for (const auto& f : *files) {
        if (f.info_hash == hash && f.catalogued)
          return fetch(address.base + torrent_target(f.name), f.name, std::move(done));
      }
    }
    by_hash(hash, called, std::move(rest), std::move(done));
  });
}

/// UX.md: "'debain.iso' is not shared on nas:6969. Closest: debian.iso"
void TorrentFinder::not_shared(const std::string& name, const TrackerAddress& at, Done done) {
  uv::HttpAsk ask;
  ask.url = at.base;
  ask.request.target = "/api/v1/files";
  ask.body_bytes_max = 16u << 20;
  http_.ask(std::move(ask), [name, at, done = std::move(done)](const Result<wire::HttpResponse>& reply) {
    std::vector<std::string> known;
    if (reply && reply->status == 200) {
      if (const auto files = wire::files_from_json(as_text(reply->body))) {
        for (const auto& f : *files) {
          if (f.catalogued) known.push_back(f.name);
        }
      }
    }
    std::string hint = fmt::format("See 'swarm status -t {}'", at.typed);
    if (const auto near = nearest(name, known)) {
      hint = fmt::format("Closest: {}", printable(*near));
    } else if (known.empty()) {
      hint = fmt::format("Nothing is: share it with 'swarm seed PATH -t {}'", at.typed);
    } else if (known.size() <= names_told) {
      hint = "There is:";
      for (const auto& one : known) hint += " " + printable(shell_quoted({one}));
    }
    done(fail(Exit::not_found, "not_found", fmt::format("'{}' is not shared on {}", printable(name), at.label),
              std::move(hint)));
  });
}

}  // namespace swarm::cli
