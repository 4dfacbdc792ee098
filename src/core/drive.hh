// The one seam between the core and the world: what a driver must be able to do, and the loop that makes it do so.
#pragma once

#include <concepts>
#include <optional>

#include "core/actions.hh"
#include "core/client.hh"

namespace swarm::core {

/// Two types satisfy it: uv::Driver (sockets, files, a clock) and sim::Driver (a world in memory). None of these calls enters the core.
template <class D>
concept Driver = requires(D d, const Connect& connect, const Close& close, const Store& store, const Check& check,
                          ConnId conn, const Fetch& fetch, CheckMetadata& metadata, Exchange& exchange,
                          Announce& announce, const Save& save, const Finish& finish, Notice& notice,
                          std::optional<Instant> at) {
  d.connect(connect);
  d.close(close);
  d.store(store);
  d.check(check);
  d.send(
      conn);  ///< pull next_outgoing(conn) as soon as the connection can take more; not from inside this call's caller's input
  d.fetch(fetch);
  d.check_metadata(metadata);
  d.exchange(exchange);
  d.announce(announce);
  d.save(save);
  d.finish(finish);
  d.notice(notice);
  d.wake_at(at);
};

/// Carries out all that the core asks for. Call it after every input, and once next_outgoing has given all that was wanted of it.
template <Driver D>
void carry_out(Client& client, D& driver) {
  Actions& a = client.actions();
  for (const Connect& x : a.connects) driver.connect(x);
  for (const Store& x : a.stores) driver.store(x);
  for (const Check& x : a.checks) driver.check(x);
  for (ConnId x : a.sendable) driver.send(x);
  for (const Close& x : a.closes) driver.close(x);
  for (const Fetch& x : a.fetches) driver.fetch(x);
  for (CheckMetadata& x : a.metadata) driver.check_metadata(x);
  for (Exchange& x : a.exchanges) driver.exchange(x);
  for (Announce& x : a.announces) driver.announce(x);
  for (const Save& x : a.saves) driver.save(x);
  for (const Finish& x : a.finishes) driver.finish(x);
  for (Notice& x : a.notices) driver.notice(x);
  a.clear();
  driver.wake_at(client.next_wake());
}

}  // namespace swarm::core
