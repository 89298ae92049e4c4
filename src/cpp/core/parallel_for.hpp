#pragma once

#include <cstddef>
#include <functional>

#include "core/monitor.hpp"

namespace ds2fast {

/// Runs body(task, worker) once for every task in [0, num_tasks) on `num_threads` threads, the
/// calling one among them; worker is in [0, num_threads). Threads live for this call only. Tasks
/// are started in ascending order. The calling thread polls `monitor` about every 50 ms and once at
/// the end. The first exception of any body or of the monitor stops the hand-out of tasks and is
/// rethrown here after all threads have ended.
void parallel_for(std::size_t num_tasks, std::size_t num_threads, Monitor& monitor,
                  const std::function<void(std::size_t task, std::size_t worker)>& body);

/// The same over [0, count) in chunks: body(begin, end, worker). `done` and `total` count items.
void parallel_chunks(
    std::size_t count, std::size_t chunk, std::size_t num_threads, Monitor& monitor,
    const std::function<void(std::size_t begin, std::size_t end, std::size_t worker)>& body);

}  // namespace ds2fast
