// Whether two models that nothing moved could agree on their places by chance.
#pragma once

#include "regauge/hidden.hpp"

namespace regauge {

HiddenReport::Identity channelIdentity(const Gauge& gauge);
// All layers together. Their counts are independent under the assumption, each as a Poisson variable of mean 1/2 to
// within 1 / neurons!, so their sum is Poisson with mean layers / 2.
HiddenReport::Identity neuronIdentity(const HiddenGauge& hidden);

}  // namespace regauge
