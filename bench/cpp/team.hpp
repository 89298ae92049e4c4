#pragma once

#include <cstddef>
#include <functional>

#include "rates.hpp"

namespace ds2fast::bench {

/// How often all threads together run `work` in a second, and how much of a CPU they had.
///
/// Each thread runs work(thread) again and again, first for a tenth of `seconds` to warm up, then
/// from a common start for `seconds`; its rate is what it finished by the time that took. `work`
/// must be short beside `seconds` and must not throw.
Rate rate_of_team(std::size_t num_threads, double seconds,
                  const std::function<void(std::size_t thread)>& work);

}  // namespace ds2fast::bench
