"""The parts of `experiments.sweep`: the choice of the engine, the estimate, the report and the export."""
