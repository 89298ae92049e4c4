/// Prints the results of the stages on a pool of fixed numbers, to be compared between machines:
/// every similarity as the bits it has.

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <vector>

#include "core/monitor.hpp"
#include "curation/simifeat.hpp"
#include "knn/exact_search.hpp"
#include "knn/row_norms.hpp"
#include "knn/row_source.hpp"
#include "random_rows.hpp"
#include "simd/kernel_table.hpp"
#include "simd/level.hpp"
#include "transition/agreement.hpp"

namespace {

using ds2fast::MatrixView;
using ds2fast::SilentMonitor;
namespace curation = ds2fast::curation;
namespace knn = ds2fast::knn;
namespace simd = ds2fast::simd;
namespace transition = ds2fast::transition;

constexpr std::size_t kRows = 700;
constexpr std::size_t kDepth = 96;
constexpr std::size_t kNeighbours = 14;
constexpr std::size_t kLevels = 4;

/// Rows around 40 centres, so that neighbours mean something.
std::vector<float> make_rows() {
  const std::vector<float> centres = random_values(40 * kDepth, 1);
  std::vector<float> rows = random_values(kRows * kDepth, 2);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = centres[(i / kDepth % 40) * kDepth + i % kDepth] + 0.25F * rows[i];
  }
  return rows;
}

/// Level of the centre, one row in ten off by one.
std::vector<std::int8_t> make_levels() {
  std::vector<std::int8_t> levels(kRows);
  for (std::size_t row = 0; row < kRows; ++row) {
    const std::size_t off = row % 10 == 3 ? 1 : 0;
    levels[row] = static_cast<std::int8_t>((row % 40 + off) % kLevels);
  }
  return levels;
}

template <typename T>
void print(const char* name, const std::vector<T>& values) {
  std::printf("%s", name);
  for (const T value : values) {
    std::printf(" %" PRId64, static_cast<std::int64_t>(value));
  }
  std::printf("\n");
}

struct Graph {
  std::vector<std::int32_t> indices = std::vector<std::int32_t>(kRows * kNeighbours);
  std::vector<float> similarities = std::vector<float>(kRows * kNeighbours);

  MatrixView<const std::int32_t> index_view() const { return {indices.data(), kRows, kNeighbours}; }
  MatrixView<const float> similarity_view() const {
    return {similarities.data(), kRows, kNeighbours};
  }
};

Graph search(const simd::KernelTable& kernels) {
  SilentMonitor monitor;
  const std::vector<float> values = make_rows();
  const knn::RowSource rows({values.data(), kRows, kDepth}, kernels);
  std::vector<double> norms(kRows);
  knn::row_norms(rows, 2, monitor, {norms.data(), kRows});
  Graph graph;
  knn::exact_search(rows, {norms.data(), kRows}, 2, monitor,
                    {graph.indices.data(), kRows, kNeighbours},
                    {graph.similarities.data(), kRows, kNeighbours});
  return graph;
}

void print_graph(const Graph& graph) {
  std::vector<std::uint32_t> bits(graph.similarities.size());
  std::memcpy(bits.data(), graph.similarities.data(), bits.size() * sizeof(float));
  print("indices", graph.indices);
  print("similarities", bits);
}

void print_agreement(const Graph& graph, const std::vector<std::int8_t>& levels) {
  SilentMonitor monitor;
  std::vector<std::int64_t> counts(kLevels * kLevels * kLevels);
  transition::count_agreement({levels.data(), kRows}, graph.index_view(), kLevels,
                              {counts.data(), counts.size()}, 2, monitor);
  print("agreement", counts);
}

void print_votes(const Graph& graph, const std::vector<std::int8_t>& levels) {
  SilentMonitor monitor;
  const std::vector<double> error_rates(kLevels, 0.1);
  curation::VoteInput input{};
  input.levels = {levels.data(), kRows};
  input.indices = graph.index_view();
  input.similarities = graph.similarity_view();
  input.error_rates = {error_rates.data(), kLevels};
  input.num_counted = 9;
  input.rounds = 51;
  std::vector<std::int32_t> seen(kRows);
  std::vector<std::int32_t> flagged(kRows);
  std::vector<std::int32_t> suggestions(kRows * kLevels);
  curation::Votes votes{};
  votes.seen = {seen.data(), kRows};
  votes.flagged = {flagged.data(), kRows};
  votes.suggestions = {suggestions.data(), kRows, kLevels};
  curation::simifeat_votes(input, 2, monitor, votes);
  print("seen", seen);
  print("flagged", flagged);
  print("suggestions", suggestions);
}

}  // namespace

int main() {
  const simd::Level level = simd::active_level();
  std::fprintf(stderr, "SIMD level %s\n", simd::name(level));
  const Graph graph = search(simd::kernels(level));
  const std::vector<std::int8_t> levels = make_levels();
  print_graph(graph);
  print_agreement(graph, levels);
  print_votes(graph, levels);
  return 0;
}
