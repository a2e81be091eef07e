"""Studies: the same problems under many settings, as one CSV file and a report; `pinnlab study NAME`."""
