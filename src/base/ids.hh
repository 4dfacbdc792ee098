// Numbers that must not be swapped, each with a type of its own.
#pragma once

#include <cstdint>
#include <type_traits>

namespace swarm {

enum class TorrentId : std::uint32_t {};   ///< a torrent within one process, given by the client in order of adding
enum class ConnId : std::uint32_t {};      ///< a peer connection within one process; never reused
enum class PieceIndex : std::uint32_t {};  ///< 0 … pieces-1 of one torrent
enum class FileIndex : std::uint32_t {};   ///< 0 … files-1 of one torrent
enum class RequestId : std::uint32_t {};   ///< one exchange with a tracker; never reused

template <class Id>
requires std::is_enum_v<Id>
constexpr std::underlying_type_t<Id> number(Id id) { return static_cast<std::underlying_type_t<Id>>(id); }

}  // namespace swarm
