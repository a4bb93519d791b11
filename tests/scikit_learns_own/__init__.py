"""scikit-learn's own tests of its networks and of its searches, run against ours: stand_ins, plugin, reasons."""
