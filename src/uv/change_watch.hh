// ChangeWatch: looks at the files of seeds from time to time, whether they are still what was hashed. Lives on the loop.
//
// Rules
// 1. Every 5 s (`every`) it looks at up to 2,500 files, and at those behind them the next time. So a change shows within
//    5 s where all torrents together have no more files than that, and within 5 s for each 2,500 where they have more:
//    100,000 files are gone through in 200 s. One that became shorter, or went, shows when it is next opened (storage.hh).
//    Rationale: to look costs a system call a file, and nobody's processor shall work because somebody keeps an archive.
// 2. One job at a time, and it gives its worker back after 10 ms. Rationale: a disk that has to wake up first, or one
//    behind a network, holds up no other work for long.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "base/instant.hh"
#include "disk/storage.hh"
#include "uv/loop.hh"
#include "uv/timer.hh"
#include "uv/workers.hh"

namespace swarm::uv {

class ChangeWatch {
 public:
  static constexpr std::size_t files_max = 2'500;  ///< rule 1

  /// The files of one torrent, and what they were; without stamps there is nothing to watch.
  struct Files {
    std::shared_ptr<disk::Storage> storage;
    std::shared_ptr<const std::vector<disk::FileStamp>> stamps;
  };
  struct Events {
    std::function<std::size_t()> torrents;        ///< how many there are; their numbers stay
    std::function<Files(std::size_t)> files;      ///< of one of them
    std::function<void(std::size_t)> on_changed;  ///< once each time that it is seen
    std::function<void()> on_looked;              ///< after each job, hence after these
  };

  ChangeWatch(Loop& loop, Workers& workers, Duration every, Events events);

  void start();  ///< it does not keep the loop running
  void stop();   ///< a job that is under way tells nothing any more

 private:
  struct Round;
  void begin();
  void run(std::unique_ptr<Round> round);

  Workers& workers_;
  Duration every_;
  Events events_;
  Timer timer_;
  bool stopped_ = false;
  std::size_t torrent_ = 0, file_ = 0;  ///< to be looked at next
};

}  // namespace swarm::uv
