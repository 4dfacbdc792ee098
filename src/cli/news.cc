#include "cli/news.hh"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "base/text.hh"
#include "core/torrent/web_seeds.hh"

namespace swarm::cli {

void News::add(TorrentId torrent, std::string name, std::shared_ptr<const wire::Metainfo> info) {
  torrents_[torrent] = {std::move(name), std::move(info)};
}

void News::on_notice(const core::Notice& notice) {
  std::visit([this](const auto& n) { on(n); }, notice);
}

void News::on(const core::PieceChecked& n) {
  const auto at = torrents_.find(n.torrent);
  if (at == torrents_.end()) return;
  const auto& info = *at->second.info;
  const PieceCheck check{{}, at->second.name, number(n.piece), 1, n.ok, n.on_disk, n.from, !several_};
  session_.on_piece(check, n.ok ? std::string() : to_hex(info.pieces[number(n.piece)]), info.piece_size(n.piece));
}

void News::on(const core::PeerBanned& n) {
  session_.voice().warn(fmt::format("{}  {} sent {}, and is asked no more", session_.voice().clock(),
                                    sender_text(n.peer), counted(n.blocks_wrong, "wrong block", "wrong blocks")));
}

void News::on(const core::TrackerNews& n) {
  const auto text = n.ok ? printable(n.text) : printable(n.text.empty() ? "does not answer" : n.text);
  auto& last = said_[n.url];
  if (last == text) return;
  const bool was_bad = !last.empty();
  last = text;
  if (!text.empty()) {
    session_.voice().warn(fmt::format("{}  tracker {}: {}", session_.voice().clock(), printable(n.url), text));
  } else if (was_bad) {
    session_.voice().advise(fmt::format("{}  tracker {} answers again", session_.voice().clock(), printable(n.url)));
  }
}

void News::on(const core::WebSeedNews& n) {
  const auto name = sender_text(core::web_seed_endpoint(n.web_seed));
  auto& last = said_[name];
  if (std::exchange(last, n.error.message) == n.error.message) return;
  session_.voice().warn(fmt::format("{}  {}: {}", session_.voice().clock(), name, n.error.message));
}

void News::on(const core::PeerGone& n) {
  session_.voice().detail(fmt::format("{}  {} is gone", session_.voice().clock(), n.peer.text()));
}

}  // namespace swarm::cli
