// The kinds of evidence, each in a file of its own. Internal to evidence.
#pragma once

#include <memory>
#include <string>

#include "evidence/readers.hpp"

namespace regauge {

// activations/<site>, gains/<site>, token_ids, attention_mask.
bool looksLikeBundle(const TensorFile& file);
Evidence bundleEvidence(const std::shared_ptr<const TensorFile>& file);

// Rows without prefixes: a single array, or several under their own names.
Evidence plainEvidence(const std::shared_ptr<const TensorFile>& file);
// A table of Arrow: each column of lists of floats is a site by its name.
Evidence tableEvidence(const std::shared_ptr<const TensorFile>& file);
// A folder of single arrays, each a site by its stem.
Evidence folderOfRows(const Files& files, const std::string& folder);

// Hugging Face names. path: a folder, an index or a single file; config.json beside it tells the model type where it is
// there.
bool looksLikeCheckpoint(const TensorFile& file);
Evidence checkpointEvidence(const Files& files, const std::string& path);

}  // namespace regauge
