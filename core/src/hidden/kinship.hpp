// Whether two models that nothing moved could agree on their places by chance.
#pragma once

#include "regauge/hidden.hpp"

namespace regauge {

// Signs count where the alignment's group has one for every channel; in the others all are +1 by construction.
HiddenReport::Identity channelIdentity(const Alignment& alignment);
// All layers together. Their counts are independent under the assumption, each as a Poisson variable of mean 1/2 to
// within 1 / neurons!, so their sum is Poisson with mean layers / 2.
HiddenReport::Identity neuronIdentity(const HiddenGauge& hidden);

}  // namespace regauge
