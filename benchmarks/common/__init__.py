"""What every floor uses: errors, seeds, devices, profiler, files."""
