// Jobs on a few threads, with a line of progress each and a record of what each cost.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace regauge::experiments {

struct Job {
    std::string name;
    std::function<std::string()> run;  // returns what to say when it is done; empty: nothing was to do
};

class Work {
public:
    // costs: a file to which a line "stage <tab> seconds <tab> job" is added for each job that did something. Seconds
    // are CPU time, which other programs do not lengthen.
    Work(unsigned threads, std::filesystem::path costs) : threads_(threads), costs_(std::move(costs)) {}
    // Runs all, in order, as many at a time as there are threads; each job's numbers do not depend on that. The first
    // exception is thrown again at the end.
    void run(const std::string& stage, std::vector<Job> jobs);

private:
    unsigned threads_;
    std::filesystem::path costs_;
};

// CPU seconds of each stage, summed over a file of costs; a job that was done twice counts once, as it was done last.
std::map<std::string, double> costsIn(const std::filesystem::path& file);

}  // namespace regauge::experiments
