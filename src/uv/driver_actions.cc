#include "uv/driver_parts.hh"

#include <algorithm>
#include <utility>

#include "base/sha1.hh"
#include "base/text.hh"

namespace swarm::uv {

namespace {
constexpr Duration exchange_within = 15s;
}  // namespace

void Driver::connect(const core::Connect& connect) { parts_->peers->connect(connect.conn, connect.to); }
void Driver::close(const core::Close& close) {
  parts_->peers->close(close.conn);
  parts_->web_seeds->close(close.conn);
}

void Driver::store(const core::Store& store) {
  Parts& p = *parts_;
  BlockAssembly* block = p.peers->assembly(store.conn);
  if (block == nullptr) block = p.web_seeds->assembly(store.conn);
  if (block == nullptr) return;
  const auto from = static_cast<std::uint32_t>(store.bytes.handle) + store.bytes.offset;
  if (!block->add(store, p.buffers.keep(from, store.bytes.length))) return;
  auto& queue = p.files(store.torrent).queue();
  queue.add(store.block, block->parts());
  block->clear();
  p.make_busy(store.torrent);
  if (queue.full() && std::find(p.full.begin(), p.full.end(), store.torrent) == p.full.end()) {
    p.full.push_back(store.torrent);
  }
}

void Driver::check(const core::Check& check) {
  parts_->files(check.torrent).queue().check(check.piece);
  parts_->make_busy(check.torrent);
}

void Driver::send(ConnId conn) {
  parts_->peers->want_to_send(conn);
  parts_->can_send.push_back(conn);
}

void Driver::fetch(const core::Fetch& fetch) {
  parts_->web_seeds->fetch(fetch.conn, *parts_->torrents[number(fetch.torrent)].web, fetch.web_seed, fetch.offset,
                           fetch.length, fetch.in_order);
}

void Driver::check_metadata(core::CheckMetadata& metadata) {
  struct Checked {
    bool right = false;
    Result<wire::Metainfo> info;
  };
  const InfoHash wanted = parts_->torrents[number(metadata.torrent)].info_hash;
  parts_->workers.run(
      [info = std::move(metadata.info), wanted]() -> Checked {
        const auto right = sha1(*info).bytes == wanted.bytes;
        return {right, right ? wire::parse_info(*info, to_hex(wanted)) : wire::Metainfo{}};
      },
      [p = parts_.get(), id = metadata.torrent](Checked checked) {
        p->on_metadata(id, checked.right, std::move(checked.info));
      });
}

void Driver::announce(core::Announce& announce) {
  parts_->udp_trackers->announce(announce.url, std::move(announce.request),
                                 [p = parts_.get(), id = announce.id](const Result<wire::AnnounceReply>& reply) {
                                   p->client->on_announced(id, reply, p->now());
                                   p->turn();
                                 });
}

void Driver::exchange(core::Exchange& exchange) {
  HttpAsk ask;
  ask.url = std::move(exchange.url);
  ask.request = std::move(exchange.request);
  ask.deadline = exchange_within;
  parts_->http->ask(std::move(ask), [p = parts_.get(), id = exchange.id](const Result<wire::HttpResponse>& reply) {
    p->client->on_reply(id, reply, p->now());
    p->turn();
  });
}

void Driver::save(const core::Save& save) { parts_->files(save.torrent).save(save.clean); }
void Driver::finish(const core::Finish& finish) { parts_->files(finish.torrent).finish(); }
void Driver::notice(core::Notice& notice) { parts_->notices.push_back(std::move(notice)); }

void Driver::wake_at(std::optional<Instant> at) {
  Parts& p = *parts_;
  if (at == p.wake) return;
  p.wake = at;
  at ? p.wake_timer.start(*at - p.now()) : p.wake_timer.stop();
}

}  // namespace swarm::uv
