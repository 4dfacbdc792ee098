// Any bytes as a .torrent: what is accepted keeps every promise of wire/metainfo.hh and survives being written and read
// again; what is not is told in one printable line.
#include "wire/metainfo.hh"

#include <cstdint>
#include <limits>

#include "base/check.hh"
#include "base/sha1.hh"
#include "base/text.hh"
#include "fuzz/target.hh"

using namespace swarm;
using namespace swarm::wire;

namespace {

void check_promises(const Metainfo& m) {
  SWARM_CHECK(m.piece_bytes >= 1 && m.piece_bytes <= 512u << 20);
  SWARM_CHECK(m.bytes_total <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  SWARM_CHECK(m.info_hash == sha1(m.info));
  SWARM_CHECK(m.folder || (m.files.size() == 1 && m.files[0].path == std::vector<std::string>{m.name}));
  std::uint64_t bytes = 0;
  for (const auto& file : m.files) {
    SWARM_CHECK(!file.path.empty());
    bytes += file.length;
  }
  SWARM_CHECK(bytes == m.bytes_total);
  for (std::uint32_t p = 0; p < m.piece_count(); ++p) {
    const auto size = m.piece_size(PieceIndex{p});
    SWARM_CHECK(size >= 1 && size <= m.piece_bytes);
    bytes -= size;
  }
  SWARM_CHECK(bytes == 0);
  for (const auto& tier : m.trackers) SWARM_CHECK(!tier.empty());
}

void check_again(const Metainfo& m) {
  const auto back = parse_metainfo(write_torrent(m), "again");
  SWARM_CHECK(back.has_value());
  SWARM_CHECK(back->info_hash == m.info_hash && back->pieces == m.pieces && back->name == m.name);
  SWARM_CHECK(back->trackers == m.trackers && back->web_seeds == m.web_seeds);
  SWARM_CHECK(back->comment == m.comment && back->created_by == m.created_by && back->is_private == m.is_private);
  SWARM_CHECK(parse_info(m.info, "alone").has_value());
}

void check_error(const Error& e) {
  SWARM_CHECK(e.exit == Exit::integrity && e.code == "not_a_torrent");
  SWARM_CHECK(!e.message.empty() && printable(e.message) == e.message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto m = parse_metainfo({data, size}, "input");
  if (const auto info = parse_info({data, size}, "input"); !info) check_error(info.error());
  if (!m) {
    check_error(m.error());
    return 0;
  }
  check_promises(*m);
  check_again(*m);
  ++test::accepted;
  return 0;
}

std::vector<std::string> swarm::test::examples() {
  const std::string forty(40, 'h');
  const std::string single =
      "d4:attr1:x6:lengthi40000e4:name3:iso12:piece lengthi32768e6:pieces40:" + forty + "7:privatei1ee";
  const std::string folder =
      "d5:filesld6:lengthi7000e4:pathl1:a1:beed4:attr1:p6:lengthi1000e4:pathl4:.pad1:1eed6:lengthi32000e4:pathl1:ce"
      "10:path.utf-8l2:\xc3\xa4"
      "eee4:name3:dir10:name.utf-85:\xc3\xa4"
      "dir12:piece lengthi32768e6:pieces40:" +
      forty + "e";
  return {
      "d4:info" + single + "e",
      "d8:announce8:http://a13:announce-listll8:http://a8:http://bel7:udp://cee7:comment2:hi10:created by1:x4:info" +
          folder + "8:url-listl8:http://wee",
      "d8:announce8:http://a4:infod6:lengthi0e4:name0:12:piece lengthi1e6:pieces0:e8:url-list8:http://wejunk"};
}
