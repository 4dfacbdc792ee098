#include "sim/curve.hh"

namespace swarm::sim {

void Curve::add(const Sample& sample, Instant now) {
  if (samples_.size() == samples_max) {
    for (std::size_t i = 0; 2 * i < samples_.size(); ++i) samples_[i] = samples_[2 * i];
    samples_.resize(samples_max / 2);
    every_ *= 2;
  }
  samples_.push_back(sample);
  next_ = now + every_;
}

void Curve::end(const Sample& sample) {
  if (!samples_.empty() && samples_.back().seconds >= sample.seconds) samples_.pop_back();
  samples_.push_back(sample);
}

}  // namespace swarm::sim
