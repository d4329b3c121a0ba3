// Arrow tables as files of tensors: what Hugging Face datasets writes, and so SAELens's cached activations. They are
// read, where they are not compressed, and never written.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "regauge/error.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {

// Each column of lists of floats, integers or booleans is a tensor by its name (shapes: ArrowColumn::shape); what else
// there is stands in metadata, with the reason why it is left out.
// Throws Error: those of readArrowTable, and unsupported where no column is readable (with the reasons).
TensorFile openArrow(std::shared_ptr<const ByteSource> source);

// Files of one table, in order, as one: rows one behind the other. name: what it is called.
TensorFile openArrows(const std::vector<std::shared_ptr<const ByteSource>>& sources, const std::string& name);

// Whether a folder is such a table, or a dataset of several splits: it has its files and no arrays beside them.
bool looksLikeArrowFolder(const Files& files, const std::string& folder);

// The table of a folder: its files in the order of datasets' state.json, or else by their numbers; of a dataset of
// splits the only one. Throws Error: missingFile (a file of it), ambiguous (several splits or tables), and those of
// openArrow.
TensorFile openArrowFolder(const Files& files, const std::string& folder);

std::unique_ptr<ByteSource> arrowTensorBytes(const TensorFile& file, std::size_t index);

// Why a table is not written again, with a way out.
Error arrowNotWritten(const TensorFile& file);

}  // namespace regauge
