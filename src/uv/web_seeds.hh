// WebSeeds: ranges of a torrent's content, fetched from HTTP servers (BEP 19).
//
// Rules
// 1. Where a file is: the URL itself for a torrent of one file, with the name behind it when it ends in '/'; for a folder
//    always URL/name/path of the file, with one '/' between. Names are percent-encoded element by element, as they stand
//    in the torrent; what they are called on our disk does not matter.
// 2. A range of the torrent is one request for each file that it touches, one after the other. Padding (BEP 47) is zeros
//    and is not asked for. HttpClient keeps the connection between requests.
// 3. 206 must be exactly the range that was asked for, of a file of the right length. 200 must be the whole file; all else
//    is an error.
// 4. A server that answers 200 when a part of a file was asked for ignores ranges. That ends the fetch with the error
//    core::ignores_ranges, unless it was known (in_order). The reply is kept and goes on in the next fetch when that begins
//    at or behind the place where this one stands, in the same file; what lies between is read and dropped. When it begins
//    before, or in another file, the reply is given up and the file asked for anew. So ranges that ascend cost each file
//    once. Rationale: Python's http.server and the like are what a person has at hand.
// 5. A reply that is kept is not read, so that it costs 128 KiB at most and the server waits; after 30 s without a fetch it
//    is given up. When it breaks off in the next fetch, what is left of that is asked for anew, once: the server may have
//    lost patience meanwhile.
// 6. A server that sends nothing for 30 s has failed. Redirects are those of HttpClient.
// 7. While nobody reads (read(false)), nothing is taken from the network but what is there already: at most 64 KiB a
//    connection, which wait here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.hh"
#include "base/ids.hh"
#include "disk/extents.hh"
#include "uv/block_assembly.hh"
#include "uv/http_client.hh"
#include "uv/timer.hh"
#include "wire/metainfo.hh"

namespace swarm::uv {

/// A torrent's content as its web seeds have it. Outlives every fetch of it.
struct WebContent {
  std::shared_ptr<const wire::Metainfo> info;
  std::vector<std::string> urls;  ///< http and https; what core::Fetch::web_seed counts
  disk::Extents extents;

  /// The torrent's own URLs and `more`, each once; others than http and https are left out.
  WebContent(std::shared_ptr<const wire::Metainfo> info, const std::vector<std::string>& more);
};

/// Rule 1.
std::string web_seed_url(const std::string& seed, const wire::Metainfo& info, FileIndex file);

class WebSeeds {
 public:
  /// What happened, on the loop; never called from inside fetch(), close() or read(). turn() comes last in each callback
  /// of the loop: now may be done what the others brought about.
  struct Events {
    std::function<ByteSpan()> room;                     ///< where to put what comes; empty: nowhere
    std::function<void(ConnId, std::size_t)> on_bytes;  ///< so many came, to the start of room()
    std::function<void()> on_no_room;
    std::function<void(ConnId, const Result<void>&)> on_ended;  ///< all came, or an error (Exit::unreachable)
    std::function<void()> turn;
  };

  struct Patience {
    Duration stalled_after = 30s;  ///< rule 6
    Duration kept_within = 30s;    ///< rule 5
  };
  WebSeeds(Loop& loop, HttpClient& http, Events events, Patience patience);
  WebSeeds(Loop& loop, HttpClient& http, Events events) : WebSeeds(loop, http, std::move(events), Patience()) {}
  ~WebSeeds();
  WebSeeds(const WebSeeds&) = delete;
  WebSeeds& operator=(const WebSeeds&) = delete;

  /// [offset, offset + length) of the content, from the URL with this number. One at a time for each `conn`.
  void fetch(ConnId conn, const WebContent& content, std::uint32_t url, std::uint64_t offset, std::uint64_t length,
             bool in_order = false);
  void close(ConnId conn);  ///< without another word; what was kept is given up
  void close_all();
  void read(bool wanted);           ///< all of them
  BlockAssembly* assembly(ConnId);  ///< for the block under way; nothing when there is no fetch
  void detach_unfinished();         ///< BlockAssembly::detach for all
  std::size_t size() const { return fetches_.size(); }
  std::uint64_t bytes_dropped() const { return bytes_dropped_; }  ///< by rule 4, since the start
  std::size_t kept() const { return kept_.size(); }               ///< replies that wait for the next fetch

 private:
  /// One server's reply as it comes.
  struct Reply {
    std::optional<HttpClient::CallId> call;  ///< nothing: no reply, or it has ended
    std::uint64_t at = 0;                    ///< byte of the file that is next
    Buffer held;                             ///< came and was not taken; at most what HttpClient gives behind a pause
  };
  struct Fetch {
    const WebContent* content = nullptr;
    std::uint64_t serial = 0;
    std::uint32_t url = 0;
    bool in_order = false;
    std::uint64_t offset = 0, left = 0;  ///< of the torrent, behind the part
    disk::Extent part{};                 ///< what is fetched now
    std::uint64_t part_left = 0;         ///< bytes of it that have not come
    Reply reply;
    bool goes_on = false;        ///< the reply has more behind the part, which is kept for the next fetch
    bool was_kept = false;       ///< the reply began in an earlier fetch
    std::optional<Error> error;  ///< told on a turn of its own
    BlockAssembly block;
    std::unique_ptr<Timer> next;  ///< goes on, on a turn of its own
  };
  struct Kept {  ///< rule 4
    const WebContent* content = nullptr;
    std::uint32_t url = 0;
    FileIndex file{};
    Reply reply;
    std::unique_ptr<Timer> given_up;
  };

  Fetch* find(ConnId conn);
  Fetch* find(ConnId conn, std::uint64_t serial);
  void go_on(ConnId conn);
  void next_part(ConnId conn, Fetch& fetch);
  static void begin_part(Fetch& fetch);
  bool give_padding(ConnId conn);
  bool take(ConnId conn, ByteView bytes);
  std::optional<std::size_t> give(ConnId conn, ByteView bytes);
  void settle_reading(const Fetch& fetch);
  void end(ConnId conn, const Result<void>& how);
  void fail(ConnId conn, Error error);
  void keep(ConnId conn, Fetch& fetch);
  void take_kept(ConnId conn, Fetch& fetch);
  void give_up(ConnId conn);
  static std::string url_of(const Fetch& fetch);
  static std::uint64_t file_bytes(const Fetch& fetch);
  void ask(ConnId conn, Fetch& fetch);
  void on_head(ConnId conn, const wire::HttpResponse& head);
  void on_body(ConnId conn, ByteView bytes);
  void on_reply(ConnId conn, const Result<wire::HttpResponse>& reply);

  Loop& loop_;
  HttpClient& http_;
  Events events_;
  Patience patience_;
  std::unordered_map<std::uint32_t, Fetch> fetches_;  ///< by ConnId; one for each web seed of each torrent, at most
  std::unordered_map<std::uint32_t, Kept> kept_;      ///< by ConnId, of those that have no fetch
  std::uint64_t fetches_begun_ = 0;
  std::uint64_t bytes_dropped_ = 0;
  bool reading_ = true;
};

}  // namespace swarm::uv
