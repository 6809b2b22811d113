"""What cannot be measured on one machine, as a model: response times across the world, and the bill of a month."""
