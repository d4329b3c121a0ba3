// The rows of matched neurons as evidence for the residual gauge.
#pragma once

#include <memory>

#include "hidden/checkpoint.hpp"
#include "regauge/evidence.hpp"

namespace regauge {

// Adds a site "hidden.<layer>.<gate, up or down>" to both sides for every layer in which enough neurons are sure: their
// rows, the source's in the target's order, sign and scale. Weight sites that are there already are taken out: they
// pair rows by position. False where no layer has enough.
bool addMatchedRows(const std::shared_ptr<const HiddenCheckpoint>& source,
                    const std::shared_ptr<const HiddenCheckpoint>& target, const HiddenGauge& hidden,
                    Evidence& sourceEvidence, Evidence& targetEvidence);

}  // namespace regauge
