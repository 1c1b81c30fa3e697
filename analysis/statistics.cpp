// The only user of Eigen: its sums may differ in the last bit between machines, so nothing but a
// person reads them.
#include <Eigen/Core>

#include <cmath>

#include "analysis/figures.h"

namespace weft::analysis {

std::optional<MeanInterval> mean_interval(std::span<const Sample> samples) {
  constexpr Eigen::Index kBatches = 20;
  constexpr double kStudent19 = 2.093;  // 97.5 % quantile of t with 19 degrees of freedom
  const auto per_batch = static_cast<Eigen::Index>(samples.size()) / kBatches;
  if (per_batch < 2) return std::nullopt;
  Eigen::ArrayXXd batches(per_batch, kBatches);
  for (Eigen::Index i = 0; i < per_batch * kBatches; ++i) {
    batches(i % per_batch, i / per_batch) =
        static_cast<double>(samples[static_cast<std::size_t>(i)].latency.ps);
  }
  const Eigen::ArrayXd means = batches.colwise().mean().transpose();
  const double mean = means.mean();
  const double variance = (means - mean).square().sum() / static_cast<double>(kBatches - 1);
  return MeanInterval{mean, kStudent19 * std::sqrt(variance / static_cast<double>(kBatches))};
}

}  // namespace weft::analysis
