"""What a training run will cost before it is run, and what makes it fit."""
