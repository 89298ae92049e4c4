#include "knn/row_norms.hpp"

#include <cmath>
#include <vector>

#include "core/parallel_for.hpp"

namespace ds2fast::knn {

void row_norms(const RowSource& rows, std::size_t num_threads, Monitor& monitor,
               VectorView<double> norms) {
  constexpr std::size_t kChunk = 1024;
  parallel_chunks(rows.num_rows(), kChunk, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t) {
                    std::vector<float> buffer(rows.depth());
                    for (std::size_t n = begin; n < end; ++n) {
                      const float* row = rows.read(n, buffer.data());
                      norms[n] = std::sqrt(rows.kernels().exact_dot(row, row, rows.depth()));
                    }
                  });
}

}  // namespace ds2fast::knn
