// Jobs on a few threads, with a line of progress each.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace regauge::experiments {

struct Job {
    std::string name;
    std::function<std::string()> run;  // returns what to say when it is done; empty: nothing was to do
};

class Work {
public:
    explicit Work(unsigned threads) : threads_(threads) {}
    // Runs all, in order, as many at a time as there are threads; each job's numbers do not depend on that. The first exception is thrown again at the end.
    void run(const std::string& stage, std::vector<Job> jobs);

private:
    unsigned threads_;
};

}  // namespace regauge::experiments
