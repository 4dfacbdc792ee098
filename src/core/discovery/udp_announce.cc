#include "core/discovery/udp_announce.hh"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include "wire/udp_tracker.hh"

namespace swarm::core {

namespace {

constexpr Duration wait_first = 15s;
constexpr std::uint32_t doublings_max = 8;
constexpr std::string_view not_listed = "the tracker does not serve this torrent: it is not on its access list";

template <class... Calls>
struct Overloaded : Calls... {
  using Calls::operator()...;
};
template <class... Calls>
Overloaded(Calls...) -> Overloaded<Calls...>;

}  // namespace

std::optional<std::uint64_t> UdpConnectionIds::find(const Endpoint& tracker, Instant now) const {
  const auto it = kept_.find(tracker);
  if (it == kept_.end() || now >= it->second.until) return std::nullopt;
  return it->second.id;
}

void UdpConnectionIds::keep(const Endpoint& tracker, std::uint64_t id, Instant now) {
  if (kept_.size() >= trackers_max && !kept_.contains(tracker)) {
    const auto first = std::min_element(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.until, a.first) < std::pair(b.second.until, b.first);
    });
    kept_.erase(first);
  }
  kept_[tracker] = {id, now + good_for};
}

void UdpConnectionIds::forget(const Endpoint& tracker, std::uint64_t id) {
  const auto it = kept_.find(tracker);
  if (it != kept_.end() && it->second.id == id) kept_.erase(it);
}

UdpAnnouncement::UdpAnnouncement(const Endpoint& tracker, wire::AnnounceRequest request, std::string url_data,
                                 Duration budget, UdpConnectionIds& ids, Random& random, Instant now)
    : tracker_(tracker),
      request_(std::move(request)),
      url_data_(std::move(url_data)),
      budget_(budget),
      ids_(ids),
      connect_transaction_(static_cast<std::uint32_t>(random.next())),
      announce_transaction_(static_cast<std::uint32_t>(random.next())),
      deadline_(now + budget),
      send_at_(now) {
  if (announce_transaction_ == connect_transaction_) announce_transaction_ = ~connect_transaction_;
}

std::optional<Buffer> UdpAnnouncement::next_datagram(Instant now) {
  if (result_) return std::nullopt;
  if (now >= deadline_) {
    give_up();
    return std::nullopt;
  }
  if (now < send_at_) return std::nullopt;
  if (waiting_ == Waiting::announce && id_is_remembered()) ids_.forget(tracker_, *id_);  // rule 4
  send_at_ = now + wait_first * (1u << repeated_);
  repeated_ = std::min(repeated_ + 1, doublings_max);
  id_ = ids_.find(tracker_, now);
  if (!id_) {
    waiting_ = Waiting::connect;
    return encode(wire::UdpConnect{connect_transaction_});
  }
  waiting_ = Waiting::announce;
  announced_ = true;
  return encode(wire::UdpAnnounce{*id_, announce_transaction_, request_, url_data_});
}

bool UdpAnnouncement::on_datagram(ByteView datagram, Instant now) {
  if (result_) return false;
  const auto family = tracker_.address.is_v4() ? wire::UdpFamily::v4 : wire::UdpFamily::v6;
  auto reply = wire::decode_udp_reply(datagram, family);
  if (!reply) return false;
  return std::visit(
      Overloaded{[&](const wire::UdpConnected& connected) {
                   const bool ours = waiting_ == Waiting::connect && connected.transaction == connect_transaction_;
                   if (ours) on_connected(connected.connection_id, now);
                   return ours;
                 },
                 [&](wire::UdpAnnounced& announced) {
                   const bool ours = announced_ && announced.transaction == announce_transaction_;
                   if (ours) result_ = std::move(announced.reply);
                   return ours;
                 },
                 [&](wire::UdpFailed& failed) { return on_failed(failed.transaction, std::move(failed.message), now); },
                 [&](const wire::UdpNotListed& refused) {  // rule 7
                   if (waiting_ == Waiting::connect && refused.transaction == connect_transaction_) return false;
                   return on_failed(refused.transaction, std::string(not_listed), now);
                 },
                 [](const wire::UdpScraped&) { return false; }},
      *reply);
}

std::optional<Instant> UdpAnnouncement::next_wake() const {
  if (result_) return std::nullopt;
  return std::min(send_at_, deadline_);
}

void UdpAnnouncement::on_connected(std::uint64_t id, Instant now) {
  ids_.keep(tracker_, id, now);
  own_id_ = id;
  waiting_ = Waiting::nothing;
  repeated_ = 0;
  send_at_ = now;
}

bool UdpAnnouncement::on_failed(std::uint32_t transaction, std::string message, Instant now) {
  const bool to_connect = waiting_ == Waiting::connect && transaction == connect_transaction_;
  const bool to_announce = announced_ && transaction == announce_transaction_;
  if (!to_connect && !to_announce) return false;
  if (to_announce && waiting_ != Waiting::announce) return true;  // late, and another try is already under way
  if (to_announce && id_is_remembered()) {                        // rule 4
    ids_.forget(tracker_, *id_);
    waiting_ = Waiting::nothing;
    send_at_ = now;
    return true;
  }
  wire::AnnounceReply reply;
  reply.failure = message.empty() ? "no reason given" : std::move(message);
  result_ = std::move(reply);
  return true;
}

void UdpAnnouncement::give_up() {
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(budget_).count();
  result_ = fail(Exit::unreachable, "no_answer", fmt::format("no answer over UDP within {} s", waited));
}

}  // namespace swarm::core
