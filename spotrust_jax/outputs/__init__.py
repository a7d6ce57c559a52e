"""What is written of a prediction: pictures, tables, regions, positions, labels."""
